"""The compute enclave's program with the real EVM and a key manager's real enclave."""

import itertools
from dataclasses import replace

import pytest

from services.compute.enclave import dispatcher
from services.compute.enclave.dispatcher import TOGETHER_NS
from services.compute.enclave.errors import NotLevel, WrongRound
from services.compute.enclave.protocol import StageTimes
from shared.crypto.signing import verify_signature
from shared.enclave.errors import (
    BrokenHeaderChain,
    IncompleteProof,
    NotInitialized,
    RoundNotProven,
    RoundUnknown,
    StateRejected,
    WrongOutputs,
)
from shared.encoding.record import encode_record
from shared.errors import PeerFailed, PeerUnavailable
from shared.rules.light_client import RewindForbidden
from shared.types.block import HeaderType, RoundBlock, RoundChange
from shared.types.commitment import COMPUTE_RESULTS_HEADER
from shared.types.evm import AccountQuery, EvmQuery
from shared.types.key_requests import FreshnessUnproven, StaleAsker
from shared.types.queries import Query, QueryAnswer
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench, account, call, first_changes, register_program
from tests.support.keymanager import PARATIME_ID
from tests.support.signing import log_emitter


@pytest.fixture
def bench():
    return Bench()


def test_nothing_works_before_a_proof(bench):
    program = bench.program("a")
    for attempt in (
        lambda: program.execute(2, ()),
        lambda: program.check((raw(0),)),
        lambda: call(program, 1),
        lambda: account(program, 1),
    ):
        with pytest.raises(NotInitialized):
            attempt()


def test_equal_batches_give_equal_roots_and_signed_headers_on_two_enclaves(bench):
    first, second = bench.start("a"), bench.start("b")
    batch = (raw(0), raw(1, to=b"", data=log_emitter(b"\x07" * 32), gas=1_000_000))
    results = [program.execute(2, batch) for program in (first, second)]
    assert results[0].header == results[1].header
    assert results[0].results == results[1].results
    for program, executed in zip((first, second), results, strict=True):
        verify_signature(
            program.describe().rak,
            COMPUTE_RESULTS_HEADER.for_runtime(bench.chain.context, PARATIME_ID, incarnation=0),
            encode_record(executed.header),
            executed.rak_signature,
        )


def test_what_is_not_valid_is_left_out_and_named(bench):
    executed = bench.start().execute(2, (b"junk", raw(0), raw(5), raw(0)))
    assert executed.included == (1,)
    assert executed.refused == (0, 2, 3)
    assert len(executed.results) == 1


@pytest.mark.parametrize("round_", [0, 1, 3, 7])
def test_a_batch_for_another_round_is_refused(bench, round_):
    with pytest.raises(WrongRound):
        bench.start().execute(round_, ())


def test_a_second_batch_for_the_open_round_takes_the_place_of_the_first(bench):
    program = bench.start()
    first = program.execute(2, (raw(0),))
    second = program.execute(2, ())
    assert first.header != second.header
    assert program.advance(encode_record(bench.finalize(second))).is_level
    assert account(program, 2).nonce == 0


@pytest.mark.parametrize("last", [0, 1, 2])
def test_whichever_batch_of_a_round_becomes_final_its_state_is_here(bench, last):
    program = bench.start()
    executed = [program.execute(2, batch) for batch in ((raw(0),), (), (raw(0), raw(1)))]
    assert len({one.header.state_root for one in executed}) == 3
    assert program.advance(encode_record(bench.finalize(executed[last]))).is_level
    assert account(program, 2).nonce == (1, 0, 2)[last]
    assert bench.run(program, raw(account(program, 2).nonce)).block.header.round == 3


def test_a_round_that_ended_otherwise_is_taken_back_and_fetched(bench):
    ours, theirs = bench.start("a"), bench.start("b")
    ours.execute(2, ())
    change = bench.run(theirs, raw(0))
    state = ours.advance(encode_record(bench.chain.prove_head()))
    assert not state.is_level
    assert state.next_round == 2
    with pytest.raises(NotLevel):
        ours.execute(3, ())
    assert ours.apply((change,)).state.is_level
    assert account(ours, 2) == account(theirs, 2)


def test_a_failed_round_leaves_the_state_as_it_was(bench):
    program = bench.start()
    bench.run(program)
    program.execute(3, (raw(0),))
    bench.chain.fail_round()
    assert program.advance(encode_record(bench.chain.prove_head())).is_level
    assert account(program, 3).nonce == 0
    executed = program.execute(4, (raw(0),))
    assert executed.included == (0,)


def test_an_epoch_must_be_proven_where_it_may_have_changed(bench):
    program = bench.start()
    bench.chain.begin_epoch()
    with pytest.raises(IncompleteProof):
        program.advance(encode_record(bench.chain.prove_head()))
    state = program.advance(encode_record(bench.chain.prove(bench.keys)))
    assert (state.epoch, state.is_level) == (3, True)


def test_a_gap_hides_no_change_of_epoch(bench):
    program, other = bench.start("a"), bench.start("b")
    bench.chain.begin_epoch()
    other.advance(encode_record(bench.chain.prove(bench.keys)))
    executed = other.execute(3, ())
    with pytest.raises(IncompleteProof):
        program.advance(encode_record(bench.finalize(executed)))


def test_headers_that_do_not_lead_to_the_proven_one_are_refused(bench):
    program, other = bench.start("a"), bench.start("b")
    bench.run(other)
    bench.run(other, raw(0))
    false = replace(bench.chain.round_headers[2], timestamp=1)
    with pytest.raises(BrokenHeaderChain):
        program.advance(encode_record(bench.chain.prove_head()), (false,))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda c: replace(c, diff=c.diff[:-1]), StateRejected),
        (lambda c: replace(c, diff=b""), StateRejected),
        (lambda c: replace(c, block=replace(c.block, results=())), WrongOutputs),
        (lambda c: replace(c, block=replace(c.block, transactions=(raw(1),))), WrongOutputs),
        (
            lambda c: replace(
                c, block=replace(c.block, header=replace(c.block.header, state_root=b"x" * 32))
            ),
            StateRejected,
        ),
    ],
)
def test_a_round_from_a_peer_that_does_not_hold_changes_nothing(bench, change, error):
    program, other = bench.start("a"), bench.start("b")
    bench.run(other)
    good = bench.run(other, raw(0))
    first = RoundChange(RoundBlock(bench.chain.round_headers[2]), other.fetch_diff(2))
    program.advance(encode_record(bench.chain.prove(bench.keys)))
    program.apply((first,))
    with pytest.raises(error):
        program.apply((change(good),))
    assert program.apply((good,)).state.is_level
    assert account(program, 3).nonce == 1


def test_rounds_of_another_history_are_forgotten_once_they_meet_the_proven_head(bench):
    program, other = bench.start("a"), bench.start("b")
    changes = [bench.run(other, raw(0)), bench.run(other, raw(1))]
    program.advance(encode_record(bench.chain.prove(bench.keys)))
    # The outputs and states hold; only the time of round 2 is not what consensus said.
    false = [
        replace(
            change, block=replace(change.block, header=replace(change.block.header, timestamp=1))
        )
        for change in changes
    ]
    program.apply((false[0],))
    with pytest.raises(BrokenHeaderChain):
        program.apply((false[1],))
    assert program.apply(tuple(changes)).state.is_level


def test_rounds_that_are_not_final_yet_are_not_taken_up(bench):
    program, other = bench.start("a"), bench.start("b")
    change = bench.run(other)
    with pytest.raises(RoundUnknown):
        program.apply((change,))


def test_a_new_enclave_is_level_only_after_the_whole_way(bench):
    old = bench.start("old")
    changes = [bench.run(old, raw(nonce)) for nonce in range(3)]
    new = bench.program("new")
    state = new.initialize(bench.chain.prove(bench.keys))
    assert (state.is_level, state.next_round) == (False, 0)
    assert not new.apply((*first_changes(bench.chain), *changes[:2])).state.is_level
    with pytest.raises(NotLevel):
        new.execute(5, ())
    assert new.apply(tuple(changes[2:])).state.is_level
    bench.join("new", new)
    assert new.execute(5, (raw(3),)).header == old.execute(5, (raw(3),)).header


def test_a_restart_keeps_final_rounds_and_a_tentative_one(bench, tmp_path):
    program = bench.start("a", tmp_path)
    bench.run(program, raw(0))
    executed = program.execute(3, (raw(1),))
    program.close()
    bench.finalize(executed)
    again = bench.start("a", tmp_path)
    assert again._state().is_level
    assert account(again, 3).nonce == 2
    assert account(again, 2).nonce == 1


def test_rounds_that_do_not_exist_here_cannot_be_asked_about(bench):
    program = bench.start()
    bench.run(program)
    program.execute(3, (raw(0),))
    for round_ in (3, 4):
        with pytest.raises(RoundUnknown):
            account(program, round_)
        with pytest.raises(RoundUnknown):
            program.fetch_diff(round_)


def test_without_a_key_manager_nothing_runs_and_with_it_again_everything(bench):
    program = bench.start()
    bench.key_manager.is_down = True
    with pytest.raises(PeerUnavailable):
        program.execute(2, ())
    bench.key_manager.is_down = False
    assert program.execute(2, ()).header.round == 2


def test_enclave_that_is_not_proven_to_be_registered_asks_for_no_key(bench):
    program = bench.program("a")
    bench.show_chain(program)
    calls = bench.key_manager.calls
    with pytest.raises(FreshnessUnproven):
        program.prepare_epoch(2)
    with pytest.raises(FreshnessUnproven):
        program.execute(2, ())
    assert bench.key_manager.calls == calls
    # The registration of an earlier start proves nothing about this one.
    other = bench.program("b")
    other.initialize(bench.chain.prove(bench.keys))
    register_program(bench.chain, "a", other)
    program.initialize(bench.chain.prove(bench.keys))
    with pytest.raises(FreshnessUnproven):
        program.prepare_epoch(2)
    bench.join("a", program)
    program.prepare_epoch(2)


def test_an_enclave_whose_view_is_old_gets_no_keys(bench):
    program = bench.start()
    bench.key_manager._enclaves.show_block(seconds=700)
    with pytest.raises(StaleAsker):
        program.prepare_epoch(2)


def test_the_calldata_key_is_the_key_managers_for_the_epoch(bench):
    first, second = bench.start("a"), bench.start("b")
    key = first.fetch_call_data_key()
    assert key == second.fetch_call_data_key()
    assert key.epoch == 2
    bench.chain.begin_epoch()
    first.advance(encode_record(bench.chain.prove(bench.keys)))
    assert first.fetch_call_data_key().public_key.key != key.public_key.key


def test_an_enclave_of_a_network_that_cannot_be_rewound_follows_no_rewind(bench):
    program = bench.program("a", has_dev_controls=False)
    bench.show_chain(program)
    bench.join("a", program)
    height = bench.chain.height
    bench.run(program, raw(0))
    bench.chain.rewind(height)
    with pytest.raises(RewindForbidden):
        program.initialize(bench.chain.prove(bench.keys))
    assert account(program, 2).nonce == 1


def test_an_enclave_that_slept_through_a_rewind_drops_void_rounds_from_its_disk(bench, tmp_path):
    program = bench.start("a", tmp_path)
    bench.run(program, raw(0))
    height = bench.chain.height
    for nonce in (1, 2):
        bench.run(program, raw(nonce))
    program.close()
    # The chain lives on meanwhile, past the height and round at which the sleeper stopped.
    bench.chain.rewind(height)
    bench.chain.begin_epoch()
    for _ in range(4):
        bench.chain.fail_round()
    program = bench.program("a", tmp_path)
    state = program.initialize(bench.chain.prove(bench.keys))
    assert (state.next_round, state.is_level) == (3, False)
    with pytest.raises(RoundNotProven):
        account(program, 2)
    missing = bench.chain.round_headers[3:]
    applied = program.apply(tuple(RoundChange(RoundBlock(header), b"") for header in missing))
    assert applied.state.is_level
    assert account(program, 2).nonce == 1


def test_keys_of_a_void_epoch_are_fetched_anew_and_equal_on_every_node(bench):
    survivor = bench.start("a")
    height = bench.chain.height
    kept = survivor.fetch_call_data_key()
    bench.chain.begin_epoch()
    survivor.advance(encode_record(bench.chain.prove(bench.keys)))
    void = survivor.fetch_call_data_key().public_key.key
    bench.chain.rewind(height)
    bench.key_manager.replace_secrets(3)
    survivor.initialize(bench.chain.prove(bench.keys))
    calls = bench.key_manager.calls
    assert survivor.fetch_call_data_key() == kept
    assert bench.key_manager.calls == calls  # what both lives have is not asked for again
    bench.chain.begin_epoch()
    survivor.advance(encode_record(bench.chain.prove(bench.keys)))
    restarted = bench.start("b")
    key = survivor.fetch_call_data_key().public_key.key
    assert key == restarted.fetch_call_data_key().public_key.key != void


def test_a_rewind_forgets_rounds_and_heights(bench):
    program = bench.start()
    bench.run(program, raw(0))
    height = bench.chain.height
    bench.run(program, raw(1))
    bench.chain.rewind(height)
    assert program.initialize(bench.chain.prove(bench.keys)).is_level
    assert account(program, 2).nonce == 1
    assert bench.chain.head.header_type is HeaderType.NORMAL


@pytest.mark.parametrize(
    ("has_dev_controls", "is_timed", "expected"),
    [(True, True, StageTimes(1, 1, 1)), (True, False, None), (False, True, None)],
)
def test_an_enclave_with_dev_controls_times_who_asks_and_nobody_else(
    bench, has_dev_controls, is_timed, expected
):
    reads = iter(range(100))
    program = bench.start("a", has_dev_controls=has_dev_controls, stopwatch_ns=lambda: next(reads))
    assert program.execute(2, (raw(0),), None, is_timed).stages == expected
    assert next(reads) == (4 if expected else 0)


def test_timing_changes_nothing_that_is_signed(bench):
    timed, other = bench.start("a", stopwatch_ns=lambda: 5), bench.start("b")
    assert timed.execute(2, (raw(0),), None, True).header == other.execute(2, (raw(0),)).header


ACCOUNT = Query(EvmQuery.ACCOUNT, encode_record(AccountQuery(RICH)))


def test_questions_that_come_together_end_once_they_have_taken_long(bench):
    reads = itertools.count(0, TOGETHER_NS)
    program = bench.start("a", stopwatch_ns=lambda: next(reads))
    answers = program.query_all((ACCOUNT,) * 4, 1)
    assert answers == (QueryAnswer(program.query(ACCOUNT.method, ACCOUNT.args, 1)),) * 2


def test_questions_that_come_together_end_once_their_answers_are_large(bench, monkeypatch):
    monkeypatch.setattr(dispatcher, "TOGETHER_BYTES", 0)
    assert len(bench.start().query_all((ACCOUNT,) * 4, 1)) == 1


def test_a_bug_in_one_question_leaves_those_beside_it_their_answers(bench, monkeypatch):
    program, asked = bench.start(), iter((True, False, True))
    answer = program._runtime.query

    def at_times(*about):
        return answer(*about) if next(asked) else 1 / 0

    monkeypatch.setattr(program._runtime, "query", at_times)
    first, failed, last = program.query_all((ACCOUNT,) * 3, 1)
    assert first == last
    assert first.error is None
    assert isinstance(failed.error, PeerFailed)
