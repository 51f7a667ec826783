"""
Whole signed transactions, hostile at every layer: refused or executed, and the chain goes on.

`corpus/` holds transactions that once stopped a chain, or passed where they must not.
"""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.consensus.engine.chain_state import results_hash
from services.consensus.rules.block import RuleFailed
from shared.crypto.address import staking_address
from shared.encoding.record import encode_record
from shared.types.keymanager import POLICY
from shared.types.methods import Method
from shared.types.registry import REGISTER_ENTITY, REGISTER_NODE
from shared.types.transaction import CONSENSUS_TRANSACTION, SignedTransaction, Transaction
from tests.property.consensus.rules.test_hostile_bodies import honest_bodies
from tests.support.consensus_world import (
    COMPUTE,
    MANAGERS,
    POLICY_SIGNERS,
    World,
    make_genesis,
    signer,
)
from tests.support.envelopes import Attacker, Honest
from tests.support.hostile import hostile_bytes
from tests.support.short_run import examples

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
STRANGER = signer("a stranger")


class Fuzzed:
    """A world that counts on nothing but blocks being made."""

    def __init__(self) -> None:
        self.world = World(make_genesis())
        self.world.register(*COMPUTE)
        self.world.register(*MANAGERS)
        self.honest = [self._honest(*one) for one in honest_bodies(self.world)]
        self.results = self.world.app.finalize_block

        def hashed(block):
            result = self.results(block)
            assert len(results_hash(result)) == 32
            return result

        self.world.app.finalize_block = hashed

    def _honest(self, by, method, body) -> Honest:
        alice = COMPUTE[0]
        chain_context = self.world.chain_context
        inner = {
            Method.REGISTER_ENTITY: ((alice.entity,), REGISTER_ENTITY.for_chain(chain_context)),
            Method.REGISTER_NODE: (
                (alice.node, alice.consensus, alice.tls),
                REGISTER_NODE.for_chain(chain_context),
            ),
            Method.UPDATE_POLICY: (POLICY_SIGNERS, POLICY.anywhere()),
        }
        return Honest(by, method, encode_record(body), inner.get(method))

    def take(self, raw: bytes) -> tuple:
        """Show bytes to the pool and to a block, as an engine would that forgot to ask first."""
        with capture_logs() as logs:
            self.world.app.check_tx(raw, False)
            height = self.world.height
            results = self.world.block(raw)
        assert self.world.height == height + 1
        assert [log for log in logs if log["log_level"] == "error"] == []
        assert all(result.codespace != RuleFailed.module for result in results if result.code == 8)
        return results


WORLD = Fuzzed()


@settings(max_examples=examples(250), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64), st.booleans())
def test_no_envelope_stops_the_chain_or_meets_a_bug(seed, by_stranger):
    chance = random.Random(seed)
    honest = chance.choice(WORLD.honest)
    if by_stranger:
        honest = Honest(STRANGER, honest.method, honest.body, honest.inner)
    address = staking_address(honest.by.public_key)
    nonce = int.from_bytes(WORLD.world.app.query("nonce", address, 0).value or b"", "big")
    WORLD.take(Attacker(WORLD.world.chain_context, chance).attack(honest, nonce))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_once_stopped_a_chain_is_refused(path):
    known = json.loads(path.read_text())
    transaction = Transaction(0, known["method"], bytes.fromhex(known["body"]))
    raw = hostile_bytes(transaction, fee=known["fee"])
    context = CONSENSUS_TRANSACTION.for_chain(WORLD.world.chain_context)
    envelope = encode_record(SignedTransaction(raw, STRANGER.endorse(context, raw)))
    nonce_before = WORLD.world.account(staking_address(STRANGER.public_key)).nonce
    results = WORLD.take(envelope)
    assert all(result.code for result in results)
    assert WORLD.world.account(staking_address(STRANGER.public_key)).nonce - nonce_before == len(
        results
    )
