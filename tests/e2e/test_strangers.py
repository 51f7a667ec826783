"""A hostile client of consensus: thousands of spoiled transactions, and the network goes on."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from qanat.network import load_network, plan_nodes
from shared.api.consensus import ConsensusApi, consensus_client
from shared.crypto.address import staking_address
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.errors import QanatError
from shared.kit.identity import NodeIdentity, load_identity
from shared.kit.link import Link
from shared.types.commitment import (
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
    ProposalHeader,
)
from shared.types.genesis import Genesis
from shared.types.keymanager import (
    POLICY,
    EncryptedSecret,
    PublishedSecret,
    SignedPublishedSecret,
)
from shared.types.methods import (
    AddEscrow,
    AdvanceEpoch,
    Allow,
    Burn,
    CommitmentEquivocation,
    Evidence,
    ExecutorCommit,
    Method,
    ProposalEquivocation,
    ProposalStatement,
    ReclaimEscrow,
    Transfer,
    UnfreezeNode,
    Withdraw,
)
from shared.types.registry import (
    REGISTER_ENTITY,
    REGISTER_NODE,
    Entity,
    NodeDescriptor,
    NodeRuntime,
    Role,
    SignedDescriptor,
    Version,
)
from tests.e2e.test_python_clients import SECRET, connect, deploy, send
from tests.support.envelopes import Attacker, Honest
from tests.support.networks import ProcessNetwork, port_base, running, wait_for

PORT_BASE = port_base(19545)
ENVELOPES = 5_000
FEE = {"amount": 250_000, "gas": 250_000}
INSIDER = "compute-3"
"""Its keys are the attacker's as well. Three nodes are enough for a committee."""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[ProcessNetwork]:
    network = ProcessNetwork(tmp_path / "data", PORT_BASE)
    with running(network):
        yield network


def consensus_address(network: ProcessNetwork) -> str:
    plans = plan_nodes(load_network(network.network_file), network.http_port)
    return next(plan.address for plan in plans if plan.service == "consensus")


def honest_transactions(genesis: Genesis, insider: NodeIdentity) -> list[Honest]:
    """What somebody with stake and a node could send, one of each kind."""
    chain_context = genesis.chain_context()
    runtime = next(one for one in genesis.runtimes if one.key_manager is not None)
    manager = next(one for one in genesis.runtimes if one.key_manager is None)
    other = genesis.accounts[0].address
    own = staking_address(insider.entity.public_key)
    node_id, entity_id = insider.node.public_key, insider.entity.public_key

    def signed(record: object, keys: tuple[Signer, ...], context: bytes) -> bytes:
        raw = encode_record(record)
        return encode_record(SignedDescriptor(raw, tuple(k.endorse(context, raw) for k in keys)))

    def vote(root: bytes) -> ExecutorCommitment:
        results = ComputeResultsHeader(1, bytes(32), bytes(32), root)
        return ExecutorCommitment(
            node_id, CommitmentHeader(node_id, results, rak_signature=bytes(64)), bytes(64), 1
        )

    def proposal(batch: bytes) -> ProposalStatement:
        return ProposalStatement(node_id, ProposalHeader(1, bytes(32), batch), bytes(64))

    node_keys = (insider.node, insider.consensus, insider.tls)
    node_context = REGISTER_NODE.for_chain(chain_context)
    entity_context = REGISTER_ENTITY.for_chain(chain_context)
    descriptor = NodeDescriptor(
        id=node_id,
        entity_id=entity_id,
        expiration=genesis.beacon.base_epoch + 1,
        consensus_key=insider.consensus.public_key,
        tls_key=insider.tls.public_key,
        roles=int(Role.COMPUTE),
        addresses=("127.0.0.1:1",),
        runtimes=(NodeRuntime(runtime.id, Version(0, 1, 0)),),
    )
    secret = PublishedSecret(manager.id, 3, EncryptedSecret(bytes(32), bytes(32), {bytes(32): b""}))
    policy = genesis.policies[0]
    by_entity, by_node = insider.entity, insider.node
    entity = signed(Entity(entity_id, (node_id,)), (insider.entity,), entity_context)
    equivocation = CommitmentEquivocation(vote(bytes(32)), vote(b"x" * 32))
    proposals = ProposalEquivocation(proposal(bytes(32)), proposal(b"x" * 32))
    bodies = [
        (by_entity, Method.TRANSFER, Transfer(other, 1)),
        (by_entity, Method.BURN, Burn(1)),
        (by_entity, Method.ADD_ESCROW, AddEscrow(own, 1)),
        (by_entity, Method.RECLAIM_ESCROW, ReclaimEscrow(own, 1)),
        (by_entity, Method.ALLOW, Allow(other, 1)),
        (by_entity, Method.WITHDRAW, Withdraw(other, 1)),
        (by_entity, Method.UNFREEZE_NODE, UnfreezeNode(node_id)),
        (by_entity, Method.REGISTER_RUNTIME, runtime),
        (by_entity, Method.UPDATE_POLICY, policy),
        (by_node, Method.PUBLISH_MASTER_SECRET, SignedPublishedSecret(secret, bytes(64))),
        (by_node, Method.PUBLISH_EPHEMERAL_SECRET, SignedPublishedSecret(secret, bytes(64))),
        (by_node, Method.EXECUTOR_COMMIT, ExecutorCommit(runtime.id, (vote(bytes(32)),))),
        (by_node, Method.EVIDENCE, Evidence(runtime.id, equivocation)),
        (by_node, Method.EVIDENCE, Evidence(runtime.id, proposals=proposals)),
        (by_entity, Method.ADVANCE_EPOCH, AdvanceEpoch()),
    ]
    plain = [Honest(by, method, encode_record(body)) for by, method, body in bodies]
    registrations = [
        Honest(by_entity, Method.REGISTER_ENTITY, entity, ((insider.entity,), entity_context)),
        Honest(
            by_node,
            Method.REGISTER_NODE,
            signed(descriptor, node_keys, node_context),
            (node_keys, node_context),
        ),
        Honest(
            by_entity,
            Method.UPDATE_POLICY,
            encode_record(policy),
            ((insider.entity,), POLICY.anywhere()),
        ),
    ]
    return plain + registrations


class HostileClient:
    """Sends spoiled transactions, by an insider and by strangers."""

    def __init__(self, consensus: ConsensusApi, network: ProcessNetwork) -> None:
        self._consensus = consensus
        document = (network.data / "public" / "genesis.cbor").read_bytes()
        genesis = decode_record(Genesis, document)
        insider = load_identity(network.data / INSIDER / "host")
        self._chance = random.Random(20261128)
        self._attacker = Attacker(genesis.chain_context(), self._chance, FEE)
        self._honest = honest_transactions(genesis, insider)
        self._nonces: dict[bytes, int] = {}
        self.accepted = self.refused = 0

    async def send(self, count: int) -> None:
        for _ in range(count):
            honest = self._chance.choice(self._honest)
            if self._chance.random() < 0.2:
                stranger = Signer(self._chance.randbytes(32))
                honest = Honest(stranger, honest.method, honest.body, honest.inner)
            await self._send_one(honest)

    async def _send_one(self, honest: Honest) -> None:
        address = staking_address(honest.by.public_key)
        nonce = self._nonces.get(address)
        if nonce is None:
            nonce = await self._consensus.fetch_nonce(address)
        try:
            await self._consensus.submit_transaction(self._attacker.attack(honest, nonce))
        except QanatError:
            # A node of the network sends by the same key: its next nonce is asked for anew.
            self._nonces.pop(address, None)
            self.refused += 1
        else:
            self._nonces[address] = nonce + 1
            self.accepted += 1


async def attack(network: ProcessNetwork) -> HostileClient:
    link = Link("a stranger", consensus_address(network))
    client = HostileClient(consensus_client(link), network)
    try:
        await client.send(ENVELOPES)
    finally:
        link.close()
    return client


@pytest.mark.long
def test_five_thousand_hostile_envelopes_stop_nothing(network: ProcessNetwork) -> None:
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    before = network.process("consensus-0")["pid"]
    client = asyncio.run(attack(network))
    assert client.accepted + client.refused == ENVELOPES
    assert client.accepted > ENVELOPES // 5
    assert network.process("consensus-0")["pid"] == before
    assert send(web3, vault.functions.store(SECRET))["status"] == 1
    height = network.block_number()
    wait_for(lambda: network.block_number() > height, 60, "rounds go on")
    network.until_level()
    log = (network.data / "logs" / "consensus-0.host.log").read_text()
    for bug in ("failed_by_a_bug", "breaks_blocks", "check_failed", "request_failed"):
        assert bug not in log
