"""The ten rules of `services.consensus.abci`, checked on every application that we have."""

import dataclasses
import os
import subprocess
import sys

import pytest

from services.consensus.abci import Block, Misbehavior, MisbehaviorKind
from services.consensus.store import Store
from shared.rules.meta import MAX_META_BYTES, decode_meta, encode_meta
from tests.support.applications import SUBJECTS, Subject
from tests.support.chains import GENESIS_NS, POWER, SoloChain
from tests.support.networks import ROOT

SECOND_NS = 1_000_000_000

pytestmark = pytest.mark.parametrize("subject", SUBJECTS, ids=str)


def run_workload(subject: Subject) -> SoloChain:
    """A chain that has run the whole workload of its application."""
    chain = subject.new_chain()
    for transactions in subject.workload(chain):
        for raw in transactions:
            chain.engine.submit(raw)
        chain.clock.advance(SECOND_NS // 4)
        chain.engine.make_block()
    return chain


def next_block(chain: SoloChain, txs=()) -> Block:
    """The block that an honest proposer would make of these candidates."""
    state = chain.engine.chain
    block = Block(state.height + 1, state.time_ns + SECOND_NS // 8, tuple(txs), bytes(20))
    prepared = chain.engine.application.prepare_proposal(block, 65_536)
    return dataclasses.replace(block, txs=tuple(prepared), hash=b"\x01" * 32)


def assert_no_success(chain: SoloChain, block: Block) -> None:
    """Either no validator decides such a block, or none of its transactions succeeds."""
    application = chain.engine.application
    if application.process_proposal(block):
        result = application.finalize_block(block)
        assert all(r.code != 0 for r in result.tx_results[:-1])
        assert result.app_hash == decode_meta(block.txs[-1]).state_root


# -- rule 1: functions of state and arguments ------------------------------------------------------


def test_two_runs_give_equal_blocks(subject):
    one, other = run_workload(subject), run_workload(subject)
    for height in range(1, one.store.height + 1):
        assert one.store.blocks.load(height) == other.store.blocks.load(height)
        assert one.store.load_result(height) == other.store.load_result(height)


@pytest.mark.long
@pytest.mark.slow
def test_the_order_of_sets_and_dictionaries_does_not_matter(subject):
    program = (
        "from tests.support.applications import SUBJECTS\n"
        "from tests.integration.consensus.test_abci_rules import run_workload\n"
        f"subject = next(s for s in SUBJECTS if s.name == {subject.name!r})\n"
        "chain = run_workload(subject)\n"
        "print(chain.engine.chain.last.commit.block_id.hash.hex())"
    )
    hashes = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1


# -- rule 2: time ----------------------------------------------------------------------------------


def test_events_carry_the_time_of_their_block(subject):
    chain = run_workload(subject)
    times = []
    for height in range(1, chain.store.height + 1):
        times.append(chain.store.load_events(height).time_ns)
        assert times[-1] == chain.store.blocks.load(height).light_block.header.time_ns
    assert times == sorted(set(times))


# -- rule 3: bad transactions ----------------------------------------------------------------------


def test_every_transaction_of_the_workload_succeeds(subject):
    chain = run_workload(subject)
    for height in range(1, chain.store.height + 1):
        results = chain.store.load_result(height).tx_results
        assert len(results) == len(chain.store.blocks.load(height).transactions)
        assert [result.log for result in results if result.code != 0] == []


def test_a_bad_transaction_gives_a_code_and_a_module_at_the_door(subject):
    chain = subject.new_chain()
    chain.engine.make_block()
    for raw in subject.bad:
        result = chain.engine.application.check_tx(raw, False)
        assert result.code != 0
        assert result.codespace


def test_a_bad_transaction_in_a_block_gives_a_code_where_it_does_not_spoil_the_proposal(subject):
    for raw in subject.bad:
        chain = subject.new_chain()
        chain.engine.make_block()
        good = next_block(chain)
        block = dataclasses.replace(good, txs=(raw, *good.txs))
        assert_no_success(chain, block)
        # The chain goes on as if nothing had been.
        assert chain.engine.make_block().result.app_hash == decode_meta(good.txs[-1]).state_root


# -- rule 4: check_tx filters, finalize_block decides ----------------------------------------------


def test_the_door_counts_what_waits_and_forgets_it_at_the_commit(subject):
    chain = subject.new_chain()
    first = subject.first
    application = chain.engine.application
    chain.engine.make_block()
    assert [application.check_tx(raw, False).code for raw in first] == [0] * len(first)
    assert application.check_tx(first[0], False).code != 0
    chain.engine.make_block()
    assert [application.check_tx(raw, False).code for raw in first] == [0] * len(first)


def test_a_block_repeats_the_checks_of_the_door(subject):
    chain = run_workload(subject)
    block = next_block(chain)
    replayed = dataclasses.replace(block, txs=(*subject.first, block.txs[-1]))
    assert_no_success(chain, replayed)


# -- rule 5: a block without due work --------------------------------------------------------------


def test_a_block_without_due_work_leaves_the_app_hash_as_it_was(subject):
    chain = run_workload(subject)
    before = chain.engine.chain.app_hash
    for _ in range(3):
        chain.clock.advance(1_000_000)
        assert chain.engine.make_block().result.app_hash == before


# -- rule 6: the state root in the same block ------------------------------------------------------


def test_the_last_transaction_carries_the_root_that_finalize_reaches(subject):
    chain = run_workload(subject)
    for height in range(1, chain.store.height + 1):
        root = decode_meta(chain.store.blocks.load(height).transactions[-1]).state_root
        assert root == chain.store.load_result(height).app_hash
        assert root == chain.store.load_tree(height).root


@pytest.mark.parametrize("fault", ["root", "missing", "not last", "empty"])
def test_a_proposal_with_a_wrong_root_is_refused(subject, fault):
    chain = subject.new_chain()
    chain.engine.make_block()
    block = next_block(chain, subject.first)
    *txs, meta = block.txs
    wrong = {
        "root": (*txs, encode_meta(bytes(32))),
        "missing": tuple(txs),
        "not last": (meta, *txs),
        "empty": (),
    }[fault]
    assert not chain.engine.application.process_proposal(dataclasses.replace(block, txs=wrong))
    assert chain.engine.application.process_proposal(block)


def test_a_proposal_keeps_to_its_size(subject):
    chain = subject.new_chain()
    chain.engine.make_block()
    first = subject.first
    state = chain.engine.chain
    block = Block(state.height + 1, state.time_ns + 1, first, bytes(20))
    limit = len(first[0]) + MAX_META_BYTES + 32  # room for field tags
    prepared = chain.engine.application.prepare_proposal(block, limit)
    assert sum(map(len, prepared)) <= limit
    assert prepared[0] == first[0]


# -- rule 7: honest proposals, judged and executed again -------------------------------------------


def test_judging_proposals_changes_nothing(subject):
    chain, calm = subject.new_chain(), subject.new_chain()
    for each in (chain, calm):
        each.engine.make_block()
    block = next_block(chain, subject.first)
    other = next_block(chain)
    application = chain.engine.application
    for proposed in (block, other, block):
        assert application.process_proposal(proposed)
    results = [a.finalize_block(block) for a in (application, calm.engine.application)]
    assert results[0] == results[1]


def test_a_block_is_executed_again_after_a_crash_with_the_same_result(subject, tmp_path):
    chain = subject.new_chain(tmp_path / "chain.db")
    chain.engine.make_block()
    block = next_block(chain, subject.first)
    first = chain.engine.application.finalize_block(block)
    chain.restart()
    chain.engine.start()
    assert chain.engine.application.finalize_block(block) == first


# -- rule 8: validator updates ---------------------------------------------------------------------


def test_a_key_appears_once_among_the_updates_of_a_block(subject):
    chain = run_workload(subject)
    for height in range(1, chain.store.height + 1):
        updates = chain.store.load_result(height).validator_updates
        assert len({update.public_key for update in updates}) == len(updates)
    assert chain.engine.chain.validators


# -- rule 9: misbehavior ---------------------------------------------------------------------------


def test_misbehavior_of_a_stranger_does_not_stop_the_chain(subject):
    chain = subject.new_chain()
    chain.engine.make_block()
    chain.engine.report_misbehavior(
        Misbehavior(MisbehaviorKind.DOUBLE_VOTE, b"\x55" * 20, 1, GENESIS_NS, POWER)
    )
    made = chain.engine.make_block()
    assert len(made.block.misbehavior) == 1
    assert chain.engine.make_block().block.misbehavior == ()


# -- rule 10: one transaction ----------------------------------------------------------------------


class Killed(BaseException):
    """Stands for `kill -9`."""


class KillingDriver:
    """SQLite's connection in a process that dies before one of the things it asks of it."""

    def __init__(self, driver, at):
        self._driver, self._left = driver, at

    def _live(self):
        if self._left == 0:
            raise Killed
        self._left -= 1

    def execute(self, *statement):
        self._live()
        return self._driver.execute(*statement)

    def executemany(self, *statement):
        self._live()
        return self._driver.executemany(*statement)

    def __enter__(self):
        self._driver.__enter__()
        return self

    def __exit__(self, *error):
        try:
            if error[0] is None:
                self._live()  # before the commit itself
        except Killed:
            self._driver.__exit__(Killed, Killed(), None)
            raise
        return self._driver.__exit__(*error)


@pytest.mark.parametrize("statement", range(5))
def test_a_commit_that_is_killed_at_any_statement_leaves_all_or_nothing(
    subject, tmp_path, statement
):
    chain = subject.new_chain(tmp_path / "chain.db")
    chain.engine.make_block()
    before = chain.engine.chain
    result = chain.engine.application.finalize_block(next_block(chain, subject.first))
    store = chain.store
    store._driver = store.rounds._driver = KillingDriver(store._driver, statement)
    try:
        chain.engine.application.commit()
        expected = (before.height + 1, result.app_hash)
    except Killed:
        expected = (before.height, before.app_hash)
    info = subject.make(Store(tmp_path / "chain.db")).info()
    assert (info.height, info.app_hash) == expected
    # An outcome, the entries and the commit, at the least.
    assert statement > 2 or info.height == before.height
