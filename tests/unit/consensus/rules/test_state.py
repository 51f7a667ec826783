"""The overlay: nothing of a failed attempt stays."""

import pytest

from services.consensus.rules import state as state_module
from services.consensus.rules.events import EpochBegan
from services.consensus.rules.state import CommittedState, State
from shared.crypto.state_tree import StateTree
from shared.encoding.record import encode_record
from shared.types.staking import Delegation, Supply

A, B, C = b"pa", b"pb", b"pc"


def committed(**values: int) -> CommittedState:
    entries = {key.encode(): encode_record(Delegation(value)) for key, value in values.items()}
    return CommittedState(StateTree.empty().with_changes(entries))


def test_changes_are_seen_at_once_and_written_nowhere():
    base = committed(pa=1)
    state = State(base)
    state.save(A, Delegation(2))
    assert state.load(Delegation, A) == Delegation(2)
    assert base.load(Delegation, A) == Delegation(1)
    assert state.changes() == {A: encode_record(Delegation(2))}


def test_a_failed_attempt_leaves_neither_changes_nor_events():
    state = State(committed(pa=1))
    state.save(B, Delegation(5))
    with pytest.raises(ZeroDivisionError), state.attempt():
        state.save(A, Delegation(9))
        state.remove(B)
        state.save(C, Delegation(7))
        state.emit(EpochBegan(3))
        _ = 1 // 0
    assert state.load(Delegation, A) == Delegation(1)
    assert state.load(Delegation, B) == Delegation(5)
    assert state.load(Delegation, C) is None
    assert state.events == ()
    assert state.changes().keys() == {B}


def test_attempts_nest():
    state = State(committed())
    with state.attempt():
        state.save(A, Delegation(1))
        with pytest.raises(ZeroDivisionError), state.attempt():
            state.save(A, Delegation(2))
            _ = 1 // 0
        assert state.load(Delegation, A) == Delegation(1)
    assert state.load(Delegation, A) == Delegation(1)


def test_scan_joins_base_and_overlay_in_order():
    state = State(committed(pa=1, pb=2, q=3))
    state.remove(A)
    state.save(C, Delegation(4))
    found = [(key, one.shares) for key, one in state.scan(Delegation, b"p")]
    assert found == [(B, 2), (C, 4)]


def test_what_is_as_it_was_is_no_change():
    state = State(committed(pa=1))
    state.save(A, Delegation(8))
    state.save(A, Delegation(1))
    state.remove(b"never there")
    assert state.changes() == {}


def test_a_missing_record_that_must_be_there_is_a_bug_and_not_a_refusal():
    with pytest.raises(LookupError):
        State(committed()).load_required(Delegation, A)


def test_the_committed_state_advances_with_its_records():
    base = committed(pa=1, pb=2)
    state = State(base)
    assert state.load(Delegation, A) == Delegation(1)
    state.save(A, Delegation(3))
    state.remove(B)
    entries = StateTree.empty().with_changes({A: encode_record(Delegation(3))})
    base.advance(entries, state.records())
    assert State(base).load(Delegation, A) == Delegation(3)
    assert State(base).load(Delegation, B) is None


def test_each_record_is_encoded_once_however_many_attempts_there_are(monkeypatch):
    encoded = []
    honest = state_module.encode_record

    def counting(record):
        encoded.append(record)
        return honest(record)

    monkeypatch.setattr(state_module, "encode_record", counting)
    state = State(CommittedState(StateTree.empty()))
    for number in range(100):
        with state.attempt():
            state.save(bytes([number]), Supply(number))
            state.encode()
    assert len(encoded) == 100
    assert len(state.changes()) == 100
    assert len(encoded) == 100


def test_what_an_attempt_undid_is_not_what_is_encoded():
    state = State(CommittedState(StateTree.empty()))
    state.save(b"k", Supply(1))
    state.encode()
    with pytest.raises(ZeroDivisionError), state.attempt():
        state.save(b"k", Supply(2))
        state.save(b"l", Supply(3))
        state.encode()
        raise ZeroDivisionError
    with state.attempt():
        state.save(b"m", Supply(4))
        state.encode()
    assert state.changes() == {b"k": encode_record(Supply(1)), b"m": encode_record(Supply(4))}
