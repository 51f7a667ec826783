"""The engine `solo`: blocks, time, the pool, and what a crash leaves behind."""

import dataclasses

import pytest

from services.consensus.abci import Misbehavior, MisbehaviorKind, TxResult
from services.consensus.engine.solo import (
    MIN_BLOCK_SPACING_NS,
    NotTheValidator,
    StoresDiverged,
)
from services.consensus.store import Store
from shared.api.consensus import AlreadyPending, TransactionTooLarge
from shared.crypto.signing import Signer
from shared.errors import RuntimeRejected
from shared.rules.light_client import LightClient
from shared.rules.meta import decode_meta
from tests.support.chains import CHAIN_ID, GENESIS_NS, POWER, SIGNER, VALIDATORS, SoloChain
from tests.support.counter import SLASHED, CounterApplication, transaction


@pytest.fixture
def chain():
    return SoloChain().started()


def test_waiting_transactions_share_a_block(chain):
    for nonce in range(3):
        chain.engine.submit(transaction(nonce, f"key{nonce}", "value"))
    made = chain.engine.make_block()
    assert [result.code for result in made.result.tx_results] == [0, 0, 0, 0]
    assert len(chain.engine.pool) == 0
    assert chain.store.load_tree().get(b"key2") == b"value"


def test_the_last_transaction_of_a_block_carries_the_root_of_its_own_state(chain):
    chain.engine.submit(transaction(0, "key", "value"))
    made = chain.engine.make_block()
    assert decode_meta(made.block.transactions[-1]).state_root == chain.store.load_tree().root
    following = chain.engine.make_block()
    assert following.block.light_block.header.app_hash == chain.store.load_tree().root


@pytest.mark.parametrize("ahead_blocks", [0, 40])
def test_time_is_moved_by_all_that_was_asked_for_from_blocks_that_are_ahead_of_the_clock(
    chain, ahead_blocks
):
    chain.clock.advance(5_000_000_000)
    for _ in range(ahead_blocks):
        chain.engine.make_block()
    before = chain.engine.make_block().block.light_block.header.time_ns
    chain.engine.application.shift_ns += 2_000_000_000
    moved = chain.engine.make_block().block.light_block.header.time_ns
    assert moved - before == 2_000_000_000 + MIN_BLOCK_SPACING_NS
    # It is moved once.
    following = chain.engine.make_block().block.light_block.header.time_ns
    assert following - moved == MIN_BLOCK_SPACING_NS
    chain.engine.application.shift_ns = 0
    back = chain.engine.make_block().block.light_block.header.time_ns
    assert back - following == MIN_BLOCK_SPACING_NS


def test_time_is_the_clock_where_it_moves_and_rises_where_it_stands(chain):
    first = chain.engine.make_block().block.light_block.header.time_ns
    assert first == GENESIS_NS + MIN_BLOCK_SPACING_NS
    chain.clock.advance(5_000_000_000)
    second = chain.engine.make_block().block.light_block.header.time_ns
    assert second == chain.clock.now_ns()
    third = chain.engine.make_block().block.light_block.header.time_ns
    assert third == second + MIN_BLOCK_SPACING_NS


def test_the_first_block_has_the_height_of_the_genesis():
    chain = SoloChain(initial_height=7).started()
    assert chain.engine.make_block().block.height == 7


def test_a_block_is_due_at_the_beat_or_when_the_application_has_work(chain):
    chain.engine.make_block()
    beat_ns = 1_000_000_000
    assert chain.engine.due_ns(beat_ns) == chain.engine.chain.time_ns + beat_ns
    soon = chain.engine.chain.time_ns + 3
    chain.engine.submit(transaction(0, "due", str(soon)))
    chain.engine.make_block()
    assert chain.engine.due_ns(beat_ns) == soon


def test_a_refused_transaction_raises_what_the_application_says(chain):
    with pytest.raises(RuntimeRejected) as raised:
        chain.engine.submit(transaction(5, "key", "value"))
    assert (raised.value.module, raised.value.code) == ("counter", 1)
    assert len(chain.engine.pool) == 0


def test_the_same_transaction_is_not_taken_twice(chain):
    chain.engine.submit(transaction(0, "key", "value"))
    with pytest.raises(AlreadyPending):
        chain.engine.submit(transaction(0, "key", "value"))


def test_an_oversized_transaction_is_refused_before_the_application_sees_it(chain):
    with pytest.raises(TransactionTooLarge):
        chain.engine.submit(bytes(4_097))


def test_what_does_not_fit_into_a_block_waits_for_the_next(chain):
    raws = [transaction(nonce, f"key{nonce}", "v" * 3_000) for nonce in range(30)]
    for raw in raws:
        chain.engine.submit(raw)
    made = chain.engine.make_block()
    assert 0 < len(made.block.transactions) - 1 < 30
    assert made.dropped == ()
    assert len(chain.engine.pool) == 30 - (len(made.block.transactions) - 1)
    chain.engine.make_block()
    assert len(chain.engine.pool) == 0


def test_what_is_no_longer_good_after_a_block_leaves_the_pool():
    class TakesOne(CounterApplication):
        def prepare_proposal(self, block, max_bytes):
            return super().prepare_proposal(dataclasses.replace(block, txs=block.txs[1:2]), 1000)

        def check_tx(self, tx, recheck):
            return super().check_tx(tx, recheck) if recheck else TxResult(0)

    chain = SoloChain(application=TakesOne).started()
    stale, good = transaction(0, "a", "1"), transaction(0, "b", "2")
    chain.engine.submit(stale)
    chain.engine.submit(good)
    made = chain.engine.make_block()
    assert [raw for raw, _ in made.dropped] == [stale]
    assert len(chain.engine.pool) == 0


def test_equal_inputs_give_equal_hashes_and_signatures():
    def run():
        chain = SoloChain().started()
        blocks = []
        for nonce in range(5):
            chain.engine.submit(transaction(nonce, f"key{nonce}", "value"))
            chain.clock.advance(17)
            blocks.append(chain.engine.make_block().block)
        return blocks

    assert run() == run()


def test_misbehavior_is_put_before_the_application_once(chain):
    address = b"\x01" * 20
    chain.engine.report_misbehavior(
        Misbehavior(MisbehaviorKind.DOUBLE_VOTE, address, 1, GENESIS_NS, POWER)
    )
    made = chain.engine.make_block()
    assert len(made.block.misbehavior) == 1
    assert chain.store.load_tree().get(SLASHED + address) == b"1"
    assert chain.engine.make_block().block.misbehavior == ()
    assert chain.store.blocks.load(1) == made.block


def test_the_power_of_the_own_key_changes_two_heights_later_and_survives_a_restart(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    key = SIGNER.public_key.hex()
    chain.engine.submit(transaction(0, "validator", f"{key}:25"))
    chain.engine.make_block()
    chain.restart()
    chain.engine.start()
    chain.engine.make_block()
    chain.restart()
    chain.engine.start()
    chain.make_blocks(2)
    powers = [chain.store.blocks.load(h).light_block.validators[0].power for h in range(1, 5)]
    assert powers == [POWER, POWER, 25, 25]
    client = LightClient(CHAIN_ID, VALIDATORS)
    for height in range(1, 5):
        client.verify(chain.store.load_proven_state([b"nonce"], height))


@pytest.mark.parametrize(
    "update", [f"{bytes(32).hex()}:5", f"{SIGNER.public_key.hex()}:0"], ids=["stranger", "removal"]
)
def test_updates_that_would_stop_the_chain_are_not_applied(chain, update):
    chain.engine.submit(transaction(0, "validator", update))
    chain.make_blocks(4)
    assert chain.engine.chain.validators == VALIDATORS


def test_a_key_that_the_genesis_does_not_name_cannot_sign():
    with pytest.raises(NotTheValidator):
        SoloChain(signer=Signer(b"\x08" * 32)).started()


class Killed(BaseException):
    """Stands for `kill -9`: nothing in the product may catch it."""


def _killing_store(step):
    class KillingStore(Store):
        armed = False

        def __init__(self, path):
            super().__init__(path)
            self._save_decision, self.blocks.save = self.blocks.save, self._save

        def _save(self, block):
            if self.armed and step == "before the decision":
                raise Killed
            self._save_decision(block)
            if self.armed and step == "after the decision":
                raise Killed

        def save_block(self, height, **parts):
            if self.armed and step == "before the commit":
                raise Killed
            super().save_block(height, **parts)
            if self.armed and step == "after the commit":
                raise Killed

    return KillingStore


STEPS = ["before the decision", "after the decision", "before the commit", "after the commit"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("height", [1, 4])
def test_a_crash_at_any_step_of_a_block_heals_at_the_next_start(tmp_path, step, height):
    calm = SoloChain(tmp_path / "calm.db").started()
    broken = SoloChain(tmp_path / "broken.db", make_store=_killing_store(step)).started()
    for chain in (calm, broken):
        chain.make_blocks(height - 1)
        chain.clock.advance(1_000)
        chain.engine.submit(transaction(0, "key", "value"))
    calm.engine.make_block()

    broken.store.armed = True
    with pytest.raises(Killed):
        broken.engine.make_block()
    broken.restart()
    broken.engine.start()
    if step == "before the decision":  # the block never was: its transactions are sent again
        assert broken.engine.chain.height == height - 1
        broken.engine.submit(transaction(0, "key", "value"))
        broken.engine.make_block()
    assert broken.engine.chain == calm.engine.chain
    assert broken.store.load_tree().root == calm.store.load_tree().root
    assert broken.engine.make_block() == calm.engine.make_block()


def test_a_state_that_belongs_to_other_blocks_is_refused(tmp_path):
    class Forgetful(CounterApplication):
        def info(self):
            return dataclasses.replace(super().info(), app_hash=b"\x01" * 32)

    chain = SoloChain(tmp_path / "chain.db").started()
    chain.make_blocks(2)
    with pytest.raises(StoresDiverged, match="another state"):
        SoloChain(tmp_path / "chain.db", application=Forgetful).started()
