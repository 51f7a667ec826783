"""Typed state: what is written is read, in order, or not at all."""

from pathlib import Path

import evm_native
import pytest

from qanat.paratime.harness import LocalChain
from qanat.paratime.signing import Account
from shared.enclave.errors import StateRejected
from shared.errors import RuntimeRejected
from tests.unit.runtimes.python.conftest import MakeChain

ALICE = Account(b"a" * 32)
PROGRAM = """
by_name = Map(str, int)
shelves = Grouped(str, int, str)
@call(gas=1)
def put(self, ctx: Context, args: tuple[str, int]) -> None:
    self.by_name.set(ctx, args[0], args[1])
@call(gas=1)
def drop(self, ctx: Context, name: str) -> None:
    self.by_name.remove(ctx, name)
@call(gas=1)
def put_and_fail(self, ctx: Context, name: str) -> None:
    self.by_name.set(ctx, name, 1)
    raise Refused(7, "no")
@call(gas=1)
def shelve(self, ctx: Context, args: tuple[str, int, str]) -> None:
    self.shelves.set(ctx, args[0], args[1], args[2])
@query
def all(self, ctx: Context) -> tuple[tuple[str, int], ...]:
    return tuple(self.by_name.items(ctx))
@query
def shelf(self, ctx: Context, name: str) -> tuple[tuple[int, str], ...]:
    return tuple(self.shelves.items(ctx, name))
@query
def sneak(self, ctx: Context) -> None:
    self.by_name.set(ctx, "sneaked", 1)
"""


@pytest.mark.parametrize("confidential", [False, True])
def test_items_come_in_the_order_of_keys(make_chain: MakeChain, confidential: bool) -> None:
    chain = make_chain(PROGRAM, confidential=confidential)
    for name, number in [("c", 3), ("a", 1), ("longer", 4), ("b", 2)]:
        chain.send(ALICE, "one.Put", [name, number])
    chain.send(ALICE, "one.Drop", "b")
    assert chain.query("one.All") == [["a", 1], ["c", 3], ["longer", 4]]


@pytest.mark.parametrize("confidential", [False, True])
def test_groups_do_not_mix(make_chain: MakeChain, confidential: bool) -> None:
    chain = make_chain(PROGRAM, confidential=confidential)
    for shelf, place, what in [("x", 300, "c"), ("y", 1, "z"), ("x", 2, "b"), ("x", 1, "a")]:
        chain.send(ALICE, "one.Shelve", [shelf, place, what])
    assert chain.query("one.Shelf", "x") == [[1, "a"], [2, "b"], [300, "c"]]
    assert chain.query("one.Shelf", "y") == [[1, "z"]]
    assert chain.query("one.Shelf", "z") == []


def test_a_failed_call_leaves_only_its_fee_and_nonce(make_chain: MakeChain) -> None:
    chain = make_chain(PROGRAM)
    with pytest.raises(RuntimeRejected, match="no") as refused:
        chain.send(ALICE, "one.PutAndFail", "x")
    assert (refused.value.module, refused.value.code) == ("one", 7)
    assert chain.query("one.All") == []
    assert chain.nonce(ALICE) == 1


def test_a_query_cannot_write(make_chain: MakeChain) -> None:
    chain = make_chain(PROGRAM)
    with pytest.raises(RuntimeRejected, match="read-only") as refused:
        chain.query("one.Sneak")
    assert (refused.value.module, refused.value.code) == ("core", 25)


def test_confidential_by_one_line(make_chain: MakeChain, tmp_path: Path) -> None:
    """The same program: in the clear its state shows the text, sealed it shows nothing of it."""
    shown = {}
    for confidential in (False, True):
        chain = make_chain(PROGRAM, confidential=confidential)
        chain.send(ALICE, "one.Put", ["a canary of a name", 77])
        state = b"".join(k + v for k, v in chain.runtime._store.scan(limit=1000))
        diffs = b"".join(chain.runtime.diff_at(r) for r in range(1, chain.header.round + 1))
        shown[confidential] = b"a canary of a name" in state, b"a canary of a name" in diffs
        assert chain.query("one.All") == [["a canary of a name", 77]]
    assert shown == {False: (True, True), True: (False, False)}


def test_equal_values_look_different_in_every_round_and_place(make_chain: MakeChain) -> None:
    chain = make_chain(PROGRAM, confidential=True)
    seen = []
    for name in ("a", "b", "a", "b"):
        chain.send(ALICE, "one.Put", [name, len(seen)])
        chain.send(ALICE, "one.Put", [name, 5])
        seen.append(chain.runtime.diff_at(chain.header.round))
    assert len(set(seen)) == 4


def test_replicas_reach_the_same_root_from_batches_and_from_diffs(make_chain: MakeChain) -> None:
    first = make_chain(PROGRAM, confidential=True, balances={ALICE.address: 100})
    second = make_chain(PROGRAM, confidential=True, balances={ALICE.address: 100})
    third = evm_native.Store.memory()
    for number in range(3):
        raw, _ = first.sign(ALICE, "one.Put", [f"n{number}", number], fee=10)
        first.run(raw)
        second.run(raw)
        round_ = first.header.round
        assert first.header == second.header
        diff = first.runtime.diff_at(round_)
        third.apply(round_, diff, expect_root=first.header.state_root)


def test_state_that_somebody_changed_does_not_open(make_chain: MakeChain) -> None:
    chain = make_chain(PROGRAM, confidential=True)
    chain.send(ALICE, "one.Put", ["a", 1])
    store, round_ = chain.runtime._store, chain.header.round
    sealed = [(k, v) for k, v in store.scan(limit=100) if len(k) > 40]
    assert sealed
    changes = {key: value[:-1] + bytes([value[-1] ^ 1]) for key, value in sealed}
    store.rollback(round_ - 1)
    forged = store.stage(changes, version=round_ - 1)
    forged.persist()
    with pytest.raises(StateRejected, match="another root"):
        chain.query("one.All")
    object.__setattr__(chain.header, "state_root", forged.root)
    with pytest.raises(StateRejected, match="does not open"):
        chain.query("one.All")


def test_state_survives_a_restart(make_chain: MakeChain, tmp_path: Path) -> None:
    chain = make_chain(PROGRAM, confidential=True, directory=tmp_path)
    chain.send(ALICE, "one.Put", ["a", 1])
    header = chain.header
    chain.runtime.close()
    again: LocalChain = make_chain(PROGRAM, confidential=True, directory=tmp_path)
    again.header = header
    assert again.query("one.All") == [["a", 1]]
    assert again.nonce(ALICE) == 1


def test_no_state_is_left_in_the_module(make_chain: MakeChain) -> None:
    chain = make_chain("@call(gas=1)\ndef run(self, ctx: Context) -> None:\n    self.seen = 1\n")
    with pytest.raises(RuntimeRejected, match="keeps state in fields only"):
        chain.send(ALICE, "one.Run")
