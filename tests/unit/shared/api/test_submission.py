"""Sending transactions: nonces in order, and once more where one was used by somebody else."""

import asyncio
from dataclasses import replace

import pytest

from shared.api.consensus import InvalidNonce
from shared.api.registration import NodeKeys, NodeRegistrar, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.encoding.record import decode_record, encode_record
from shared.errors import BadRequest, PeerUnavailable, QanatError
from shared.types.attestation import CapabilityTee
from shared.types.genesis import ConsensusParameters
from shared.types.methods import Method, Transfer
from shared.types.registry import NodeDescriptor, Role, SignedDescriptor
from shared.types.transaction import TransactionResult
from tests.support.consensus_world import BALANCE, COMPUTE, PARATIME, VERSION, World, make_genesis

ALICE, BOB = COMPUTE[0], COMPUTE[1]


class PooledConsensus:
    """As much of `ConsensusApi` as senders need, over the real application."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool: list[bytes] = []
        self.lost = 0

    async def fetch_genesis(self) -> bytes:
        return encode_record(self.world.genesis)

    async def fetch_nonce(self, address: bytes) -> int:
        await asyncio.sleep(0)
        answer = self.world.app.query("nonce", address, 0)
        return int.from_bytes(answer.value, "big")

    async def submit_transaction(self, raw: bytes) -> bytes:
        if self.lost:
            self.lost -= 1
            raise PeerUnavailable("cut off")
        result = self.world.app.check_tx(raw, False)
        if result.code:
            raise QanatError.by_code[result.codespace, result.code].rebuilt(result.log)
        self.pool.append(raw)
        return b""

    async def execute_transaction(self, raw: bytes) -> TransactionResult:
        await self.submit_transaction(raw)
        await asyncio.sleep(0)
        if raw in self.pool:
            self.make_block()
        return TransactionResult(0)

    def make_block(self) -> None:
        pool, self.pool = self.pool, []
        assert len(self.world.block(*pool)) == len(pool)


@pytest.fixture
def consensus() -> PooledConsensus:
    return PooledConsensus(World())


def sender_of(consensus, keys=ALICE) -> TransactionSender:
    return TransactionSender(consensus, keys.entity, consensus.world.chain_context)


async def test_transactions_that_are_sent_together_all_enter(consensus):
    sender = sender_of(consensus)
    body = Transfer(BOB.address, 1)
    await asyncio.gather(*(sender.submit(Method.TRANSFER, body) for _ in range(20)))
    consensus.make_block()
    assert consensus.world.account(ALICE).nonce == 20


@pytest.mark.parametrize("way", ["submit", "send"])
async def test_a_nonce_that_another_process_used_is_asked_for_anew(consensus, way):
    one, other = sender_of(consensus), sender_of(consensus)
    for sender in (one, other, one, other):
        await getattr(sender, way)(Method.TRANSFER, Transfer(BOB.address, 1))
    if way == "submit":
        consensus.make_block()
    assert consensus.world.account(ALICE).nonce == 4


async def test_a_lost_connection_is_told_and_the_next_transaction_goes_through(consensus):
    sender = sender_of(consensus)
    await sender.submit(Method.TRANSFER, Transfer(BOB.address, 1))
    consensus.lost = 1
    with pytest.raises(PeerUnavailable):
        await sender.submit(Method.TRANSFER, Transfer(BOB.address, 1))
    await sender.submit(Method.TRANSFER, Transfer(BOB.address, 1))
    consensus.make_block()
    assert consensus.world.account(ALICE).nonce == 2


async def test_a_transaction_that_fell_out_of_the_pool_is_sent_again(consensus):
    sender = sender_of(consensus)
    answers = [TransactionResult(InvalidNonce.code, InvalidNonce.module), TransactionResult(0)]
    sent = []

    async def execute(raw: bytes) -> TransactionResult:
        sent.append(raw)
        return answers.pop(0)

    consensus.execute_transaction = execute
    assert (await sender.send(Method.TRANSFER, Transfer(BOB.address, 1))).code == 0
    assert len(sent) == 2


@pytest.mark.parametrize(
    "rules",
    [
        ConsensusParameters(min_gas_price=2, gas_tx_byte=3, gas_costs={Method.TRANSFER: 700}),
        ConsensusParameters(min_gas_price=5),
        ConsensusParameters(gas_tx_byte=1),
        ConsensusParameters(gas_costs={Method.TRANSFER: 9}),
    ],
)
async def test_a_sender_offers_what_the_genesis_asks_for_and_little_more(rules):
    consensus = PooledConsensus(World(make_genesis(consensus=rules)))
    sender = sender_of(consensus)
    await sender.submit(Method.TRANSFER, Transfer(BOB.address, 1))
    (raw,) = consensus.pool
    (result,) = consensus.world.block(raw)
    assert result.code == 0
    assert result.gas_used <= result.gas_wanted <= max(result.gas_used + 20 * rules.gas_tx_byte, 1)
    paid = BALANCE - 1 - consensus.world.account(ALICE).balance
    assert paid == result.gas_wanted * rules.min_gas_price


async def test_a_registrar_registers_its_node_under_all_its_keys(consensus):
    world = consensus.world
    keys = NodeKeys(ALICE.node, ALICE.consensus, ALICE.tls, ALICE.entity.public_key)
    sender = TransactionSender(consensus, ALICE.node, world.chain_context)
    node = NodeRegistrar(
        sender, keys, world.chain_context, addresses=("127.0.0.1:9",), software_version="test"
    )
    registrar = Registrar(node, ServedRuntime(PARATIME, VERSION, Role.COMPUTE))
    await registrar.register(world.epoch, world.capability(ALICE))
    (node,) = [one for _, one in world.state.scan(NodeDescriptor, b"\x10n")]
    assert node.id == ALICE.id
    assert node.addresses == ("127.0.0.1:9",)
    assert node.expiration == world.epoch + 1


SECOND_PARATIME = b"\x80" + bytes(30) + b"\x09"


class StrictSender:
    """Consensus that refuses descriptors which show one attestation that it does not like."""

    def __init__(self) -> None:
        self.descriptors: list[NodeDescriptor] = []
        self.refused: CapabilityTee | None = None

    async def send(self, method: str, body: SignedDescriptor) -> TransactionResult:
        assert method == Method.REGISTER_NODE
        descriptor = decode_record(NodeDescriptor, body.untrusted_raw_value)
        if any(served.tee == self.refused for served in descriptor.runtimes):
            raise BadRequest("stands for any refusal")
        self.descriptors.append(descriptor)
        return TransactionResult(0)


@pytest.fixture
def two_runtimes(consensus) -> tuple[StrictSender, list[Registrar], CapabilityTee]:
    keys = NodeKeys(ALICE.node, ALICE.consensus, ALICE.tls, ALICE.entity.public_key)
    sender = StrictSender()
    node = NodeRegistrar(sender, keys, "ab" * 32, addresses=(), software_version="test")
    registrars = [
        Registrar(node, ServedRuntime(id_, VERSION, Role.COMPUTE))
        for id_ in (SECOND_PARATIME, PARATIME)
    ]
    return sender, registrars, consensus.world.capability(ALICE)


async def test_a_node_of_two_runtimes_registers_both(two_runtimes):
    sender, (second, first), capability = two_runtimes
    await second.register(5, capability)
    await first.register(6, capability)
    shown = [[served.id for served in one.runtimes] for one in sender.descriptors]
    assert shown == [[SECOND_PARATIME], [PARATIME, SECOND_PARATIME]]
    assert sender.descriptors[1].expiration == 7


async def test_what_is_wrong_with_one_runtime_does_not_keep_the_other_out(two_runtimes):
    sender, (second, first), capability = two_runtimes
    await second.register(5, capability)
    sender.refused = capability
    fresh = replace(capability, rek=b"f" * 32)
    await first.register(6, fresh)
    assert [served.id for served in sender.descriptors[-1].runtimes] == [PARATIME]
    await second.register(6, fresh)
    assert len(sender.descriptors[-1].runtimes) == 2


async def test_a_refused_runtime_leaves_the_others_registered(two_runtimes):
    sender, (second, first), capability = two_runtimes
    await second.register(5, capability)
    sender.refused = replace(capability, rek=b"f" * 32)
    with pytest.raises(BadRequest):
        await first.register(5, sender.refused)
    assert [served.id for served in sender.descriptors[-1].runtimes] == [SECOND_PARATIME]
