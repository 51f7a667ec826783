"""A node whose pool strangers fill: it makes blocks, and starts again on what it stored."""

from dataclasses import replace

import pytest

from qanat import cpu
from services.consensus.app import build_node
from services.consensus.engine import chain_state
from services.consensus.engine.pool import transaction_hash
from services.consensus.store import Store
from shared.crypto.hashes import sha256
from shared.encoding.record import MalformedRecord, encode_record
from shared.encoding.values import to_wire
from shared.errors import QanatError
from shared.kit.clock import ManualClock
from shared.types.attestation import QuotePolicy, TeeConstraints
from shared.types.methods import Method, Transfer
from shared.types.registry import (
    REGISTER_NODE,
    Deployment,
    NodeDescriptor,
    NodeRuntime,
    Role,
    SignedDescriptor,
)
from shared.types.transaction import CONSENSUS_TRANSACTION, Fee, SignedTransaction, Transaction
from tests.support import mock_tee
from tests.support.consensus_world import COMPUTE, OWNER, PARATIME, SECOND, VERSION, make_genesis
from tests.support.consensus_world import signer as key_of
from tests.support.hostile import hostile_bytes

STRANGER = key_of("a stranger without a token")
ALICE = COMPUTE[0]


class Network:
    """A consensus node on a file, on a clock that the test moves."""

    def __init__(self, folder, genesis=None) -> None:
        self.genesis = genesis or make_genesis()
        self.document = encode_record(self.genesis)
        self.path = folder / "consensus.sqlite"
        self.clock = ManualClock(self.genesis.time_ns)
        self.start()
        self.node.mine(1)

    def start(self) -> None:
        self.store = Store(self.path)
        self.node = build_node(self.document, self.store, OWNER.consensus, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.start()

    def envelope(self, by, raw: bytes) -> bytes:
        context = CONSENSUS_TRANSACTION.for_chain(self.genesis.chain_context())
        return encode_record(SignedTransaction(raw, by.endorse(context, raw)))

    def block(self, *envelopes: bytes):
        """Submit, make a block, and start again; the results of what got in."""
        for envelope in envelopes:
            self.node.submit(envelope)
        self.clock.advance(SECOND)
        self.node.mine(1)
        height = self.node.height
        self.restart()
        assert self.node.height == height
        return self.store.load_result(height).tx_results[:-1]


@pytest.fixture
def network(tmp_path):
    network = Network(tmp_path)
    yield network
    network.store.close()


def test_gas_that_cannot_be_hashed_never_enters(network):
    raw = hostile_bytes(Transaction(0, Method.TRANSFER, b""), fee={"amount": 0, "gas": 2**63})
    with pytest.raises(MalformedRecord):
        network.node.submit(network.envelope(STRANGER, raw))
    raw = encode_record(Transaction(0, Method.TRANSFER, b"", Fee(0, 2**63 - 1)))
    with pytest.raises(QanatError, match="gas limit"):
        network.node.submit(network.envelope(STRANGER, raw))
    assert network.block() == ()


@pytest.mark.parametrize("body", ["d81c81d81d00", "d81ca10ad81d00", "c4821b7fffffffffffffff01"])
def test_a_body_that_is_no_data_fails_for_itself(network, body):
    raw = encode_record(Transaction(0, Method.TRANSFER, bytes.fromhex(body)))
    (result,) = network.block(network.envelope(STRANGER, raw))
    assert result.codespace == "encoding"


def test_an_attestation_of_no_height_fails_for_itself(tmp_path):
    constraints = TeeConstraints(
        (mock_tee.ENCLAVE,), QuotePolicy(tcb_validity_days=cpu.TCB_VALIDITY_DAYS)
    )
    genesis = make_genesis(paratime={"deployments": (Deployment(VERSION, 0, constraints),)})
    root_ca = mock_tee.pki().root_ca
    registry = replace(genesis.registry, tee_root_ca=root_ca, tee_root_ca_hash=sha256(root_ca))
    genesis = replace(genesis, registry=registry, time_ns=mock_tee.NOW_S * SECOND)
    network = Network(tmp_path, genesis)

    def registration(nonce: int, height: int) -> bytes:
        tee = to_wire(type(capability), capability)
        tee["attestation"]["height"] = height
        runtime = to_wire(NodeRuntime, NodeRuntime(PARATIME, VERSION)) | {"tee": tee}
        descriptor = NodeDescriptor(
            id=ALICE.id,
            entity_id=ALICE.entity.public_key,
            expiration=3,
            consensus_key=ALICE.consensus.public_key,
            tls_key=ALICE.tls.public_key,
            roles=int(Role.COMPUTE),
            addresses=("a:1",),
        )
        inner = hostile_bytes(descriptor, runtimes=[runtime])
        context = REGISTER_NODE.for_chain(genesis.chain_context())
        keys = (ALICE.node, ALICE.consensus, ALICE.tls)
        body = SignedDescriptor(inner, tuple(key.endorse(context, inner) for key in keys))
        raw = encode_record(Transaction(nonce, Method.REGISTER_NODE, encode_record(body)))
        return network.envelope(ALICE.node, raw)

    capability = mock_tee.attested(node_id=ALICE.id, height=1, signer=ALICE.rak)
    (honest,) = network.block(registration(0, 1))
    assert honest.code == 0, honest.log
    heights = (-1, 2**64, -(2**70))
    results = [network.block(registration(n, h))[0] for n, h in enumerate(heights, 1)]
    assert {result.codespace for result in results} == {"encoding"}
    network.store.close()


def test_a_result_that_cannot_be_hashed_is_never_decided(network, monkeypatch):
    raw = encode_record(Transaction(0, Method.TRANSFER, encode_record(Transfer(OWNER.address, 1))))
    network.node.submit(network.envelope(ALICE.entity, raw))
    before = network.node.height
    honest = chain_state.results_hash

    def fail(result):
        raise OverflowError

    monkeypatch.setattr(chain_state, "results_hash", fail)
    with pytest.raises(OverflowError):
        network.node.mine(1)
    monkeypatch.setattr(chain_state, "results_hash", honest)
    network.restart()
    assert network.node.height == before
    assert network.store.blocks.load().height == before
    (result,) = network.block(network.envelope(ALICE.entity, raw))
    assert result.code == 0


def test_a_thousand_strangers_leave_room_for_a_client(network):
    nothing = encode_record(Transaction(0, Method.BURN, b""))
    strangers = [network.envelope(key_of(f"stranger {n}"), nothing) for n in range(1000)]
    raw = encode_record(Transaction(0, Method.TRANSFER, encode_record(Transfer(OWNER.address, 1))))
    mine = network.envelope(ALICE.entity, raw)
    results = network.block(*strangers, mine)
    assert [result.code for result in results].count(0) == 1
    assert transaction_hash(mine) not in network.node.engine.pool
    assert {result.codespace for result in results} == {"", "encoding"}
