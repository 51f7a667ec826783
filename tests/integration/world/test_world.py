"""Whole networks in one process, from a genesis on: no part is a fake but the hardware and time."""

import pytest
from eth_utils import keccak
from rlp import encode
from sapphirepy.envelope import TransactionCipher
from web3 import Web3

from shared.api.evm import EvmQueries
from shared.types.block import HeaderType
from shared.types.evm import EvmCall
from shared.types.registry import Committee, NodeDescriptor
from tests.support.keymanager import PARATIME_ID
from tests.support.signing import ACCOUNT, artifact, sign
from tests.support.virtual_time import run_virtual
from tests.support.world import World
from tests.support.world_genesis import identity_of

RICH = bytes.fromhex(ACCOUNT.address.removeprefix("0x"))
BALANCES = ((RICH, 10**24),)
SECRET = b"what only enclaves may see"
GAS = 3_000_000
EPOCH_S = 20


def in_a_world(test, **options) -> None:
    """Run a test's coroutine in a network that is ready."""

    async def main() -> None:
        world = World(balances=BALANCES, **options)
        try:
            await world.start()
            await test(world)
        finally:
            await world.close()

    run_virtual(main())


def head_of(world: World, name: str):
    feed = world.nodes[name].feed
    return feed.find(feed.next_round - 1).header


async def execute(world: World, nonce: int, *, by: str = "compute-0", **changes) -> None:
    """Submit a transaction, and wait until every compute node has executed it."""
    raw = bytes.fromhex(sign(nonce, **changes).removeprefix("0x"))
    (answer,) = await world.ask(by).submit_transactions((raw,))
    assert answer.module == "", answer
    running = [name for name in world.compute if name in world.nodes]
    first = {name: world.nodes[name].feed.next_round - 1 for name in running}

    def is_executed(name: str) -> bool:
        feed = world.nodes[name].feed
        rounds = range(max(first[name] - 3, 0), feed.next_round)
        return any(raw in feed.find(round_).transactions for round_ in rounds)

    await world.until(lambda: all(map(is_executed, running)))


async def cipher_of(world: World, name: str = "compute-0") -> TransactionCipher:
    key = await world.ask(name).fetch_call_data_key()
    return TransactionCipher("0x" + key.public_key.key.hex(), key.epoch)


class Vault:
    """The contract of that name keeps a secret; everything about it is encrypted."""

    def __init__(self, world: World) -> None:
        self.world, self.nonce = world, 0
        built = artifact("Vault")
        self._abi = Web3().eth.contract(abi=built["abi"])
        self._code = bytes.fromhex(built["bytecode"].removeprefix("0x"))
        self.address = keccak(encode([RICH, 0]))[12:]

    async def deploy(self) -> None:
        cipher = await cipher_of(self.world)
        await self._send(None, cipher.encrypt(self._code))

    async def store(self, secret: bytes, by: str = "compute-0") -> None:
        cipher = await cipher_of(self.world, by)
        to = Web3.to_checksum_address(self.address)
        await self._send(to, cipher.encrypt(self._calldata("store", secret)), by)

    async def holds(self, guess: bytes, name: str) -> bool:
        """Ask a node's enclave, by an encrypted call."""
        cipher = await cipher_of(self.world, name)
        data = cipher.encrypt(self._calldata("matches", guess))
        call = EvmCall(bytes(20), self.address, GAS, 0, 0, data)
        answer = cipher.decrypt(await EvmQueries(self.world.ask(name)).call(call))
        return bool(int.from_bytes(answer, "big"))

    def _calldata(self, name: str, argument: bytes) -> bytes:
        return bytes.fromhex(self._abi.encode_abi(name, [argument])[2:])

    async def _send(self, to: str | None, data: bytes, by: str = "compute-0") -> None:
        await execute(self.world, self.nonce, by=by, to=to, data=data, gas=GAS, value=0)
        self.nonce += 1


def test_a_network_starts_from_its_genesis_alone():
    async def test(world: World) -> None:
        nodes = await world.client.fetch_nodes()
        everybody = (*world.key_managers, *world.compute)
        assert {node.id for node in nodes} == {identity_of(n).node.public_key for n in everybody}
        for node in nodes:
            assert isinstance(node, NodeDescriptor)
            (served,) = node.runtimes
            assert len(served.tee.attestation.quote) > 1_000
        status = await world.client.fetch_key_manager(world.genesis.runtimes[0].id)
        assert status.is_initialized
        assert len(status.nodes) == 2
        assert isinstance(await world.client.fetch_committee(PARATIME_ID), Committee)

    in_a_world(test)


def test_every_node_executes_a_transaction_to_the_same_root():
    async def test(world: World) -> None:
        for nonce in range(5):
            await execute(world, nonce, by=f"compute-{nonce % 4}")
        await world.until(lambda: len({head_of(world, n).hash() for n in world.compute}) == 1)
        for name in world.compute:
            assert (await EvmQueries(world.ask(name)).fetch_account(RICH)).nonce == 5
        proven = await world.client.fetch_round_header(
            PARATIME_ID, head_of(world, "compute-0").round
        )
        assert proven.state_root == head_of(world, "compute-0").state_root

    in_a_world(test)


def test_encrypted_transactions_run_and_leave_no_plaintext_at_any_host():
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        await vault.store(SECRET)
        for name in world.compute:
            feed = world.nodes[name].feed
            rounds = [feed.find(round_) for round_ in range(feed.next_round)]
            assert all(SECRET not in b"".join(one.transactions) for one in rounds)
        assert SECRET not in b"".join(value for _, value in world.store.load_tree().items())
        for name in world.compute:
            assert await vault.holds(SECRET, name)
            assert not await vault.holds(SECRET[::-1], name)

    in_a_world(test)


@pytest.mark.long
def test_epochs_pass_in_moments_and_each_has_its_keys():
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        keys = set()
        for _ in range(6):
            await vault.store(SECRET)
            keys.add((await cipher_of(world)).epoch)
            epoch = world.epoch
            await world.until(lambda e=epoch: world.epoch > e and world.is_ready())
        assert len(keys) == 6
        assert world.loop.time() > 5 * EPOCH_S
        heights = range(1, world.consensus.height + 1)
        assert not any(world.store.load_events(height).slashed for height in heights)

    in_a_world(test, epoch_s=EPOCH_S)


@pytest.mark.parametrize("name", ["keymanager-0", "compute-1"])
def test_a_node_that_was_killed_comes_back_with_fresh_keys_and_takes_part(name):
    async def test(world: World) -> None:
        await execute(world, 0)
        before = {node.id: node for node in await world.client.fetch_nodes()}
        await world.kill(name)
        await execute(world, 1)
        await world.start_node(name)
        await world.until(world.is_ready)
        await execute(world, 2)
        after = {node.id: node for node in await world.client.fetch_nodes()}
        node_id = identity_of(name).node.public_key
        assert before[node_id].runtimes[0].tee.rak != after[node_id].runtimes[0].tee.rak
        await world.until(lambda: len({head_of(world, n).hash() for n in world.compute}) == 1)

    in_a_world(test)


def test_a_worker_that_is_cut_off_costs_a_discrepancy_and_not_the_round():
    async def test(world: World) -> None:
        committee = await world.client.fetch_committee(PARATIME_ID)
        head = head_of(world, "compute-0")
        last = [
            n
            for n in world.compute
            if committee.scheduler_rank(head.round + 1, identity_of(n).node.public_key) == 1
        ]
        world.cut_off.update(last)
        reachable = next(n for n in world.compute if n not in last)
        raw = bytes.fromhex(sign(0).removeprefix("0x"))
        await world.ask(reachable).submit_transactions((raw,))
        await world.until(
            lambda: any(
                raw in world.nodes[reachable].feed.find(r).transactions
                for r in range(world.nodes[reachable].feed.next_round)
            )
        )
        world.cut_off.clear()
        await world.until(lambda: len({head_of(world, n).hash() for n in world.compute}) == 1)
        assert head_of(world, reachable).header_type is not HeaderType.SUSPENDED

    in_a_world(test)


def test_a_rewind_leaves_every_node_with_one_chain_and_working_keys():
    async def test(world: World) -> None:
        await execute(world, 0)
        height = world.consensus.height
        await execute(world, 1)
        await world.rewind(height)
        await world.until(world.is_ready)
        await execute(world, 1, value=7)
        await world.until(lambda: len({head_of(world, n).hash() for n in world.compute}) == 1)
        for name in world.compute:
            assert (await EvmQueries(world.ask(name)).fetch_account(RICH)).nonce == 2

    in_a_world(test)
