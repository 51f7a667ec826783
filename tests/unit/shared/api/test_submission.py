"""Sending transactions: nonces in order, and once more where one was used by somebody else."""

import asyncio

import pytest

from shared.api.consensus import InvalidNonce
from shared.api.registration import NodeKeys, Registrar, ServedRuntime
from shared.api.submission import TransactionSender
from shared.errors import PeerUnavailable, QanatError
from shared.types.methods import Method, Transfer
from shared.types.registry import NodeDescriptor, Role
from shared.types.transaction import TransactionResult
from tests.support.consensus_world import COMPUTE, PARATIME, VERSION, World

ALICE, BOB = COMPUTE[0], COMPUTE[1]


class PooledConsensus:
    """As much of `ConsensusApi` as senders need, over the real application."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool: list[bytes] = []
        self.lost = 0

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


async def test_a_registrar_registers_its_node_under_all_its_keys(consensus):
    world = consensus.world
    keys = NodeKeys(ALICE.node, ALICE.consensus, ALICE.tls, ALICE.entity.public_key)
    sender = TransactionSender(consensus, ALICE.node, world.chain_context)
    registrar = Registrar(
        sender,
        keys,
        ServedRuntime(PARATIME, VERSION, Role.COMPUTE),
        world.chain_context,
        addresses=("127.0.0.1:9",),
        software_version="test",
    )
    await registrar.register(world.epoch, world.capability(ALICE))
    (node,) = [one for _, one in world.state.scan(NodeDescriptor, b"\x10n")]
    assert node.id == ALICE.id
    assert node.addresses == ("127.0.0.1:9",)
    assert node.expiration == world.epoch + 1
