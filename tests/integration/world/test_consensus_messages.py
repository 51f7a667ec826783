"""A contract stakes and gets its stake back, on every node alike, while nodes come and go."""

from typing import Any

import cbor2
from eth_abi import decode
from eth_utils import keccak
from rlp import encode
from web3 import Web3

from services.consensus.rules.staking.ledger import measure_supply
from services.consensus.rules.state import CommittedState, State
from shared.api.evm import EvmQueries
from shared.crypto.address import runtime_address
from shared.crypto.hashes import EMPTY_HASH
from shared.rules import state_keys
from shared.types.staking import Account, Supply
from tests.integration.world.test_world import RICH, execute, head_of, in_a_world
from tests.support.keymanager import PARATIME_ID
from tests.support.module_calls import FORWARD, MINIMUM, UNIT, amount, asked, init_code
from tests.support.world import World

VALIDATOR = b"\0" + b"\x0b" * 20
STAKE = MINIMUM // UNIT
RECEIPT = 2**32


class Staker:
    """A contract that forwards to the modules."""

    def __init__(self, world: World) -> None:
        self.world, self.nonce = world, 0
        self.address = keccak(encode([RICH, 0]))[12:]

    async def deploy(self) -> None:
        await self._send(None, init_code(FORWARD), 0)

    async def ask(self, method: str, body: Any, *, value: int = 0) -> Any:
        """Answer of a method that must succeed."""
        to = Web3.to_checksum_address(self.address)
        await self._send(to, asked(method, body), value)
        status, data = decode(["uint64", "bytes"], self._output())
        assert status == 0, (status, data)
        return cbor2.loads(data)

    async def take(self, kind: int, receipt: int = RECEIPT) -> Any:
        return await self.ask("consensus.TakeReceipt", {"id": receipt, "kind": kind})

    async def balance(self, name: str) -> int:
        return (await EvmQueries(self.world.ask(name)).fetch_account(self.address)).balance

    async def _send(self, to: str | None, data: bytes, value: int) -> None:
        await execute(self.world, self.nonce, to=to, data=data, gas=500_000, value=value)
        self.nonce += 1

    def _output(self) -> bytes:
        feed = self.world.nodes["compute-0"].feed
        for round_ in range(feed.next_round - 1, -1, -1):
            for result in feed.find(round_).results:
                record = cbor2.loads(result)
                if (record["sender"], record["nonce"]) == (RICH, self.nonce - 1):
                    assert record["error"] is None, record["error"]
                    return record["output"]
        raise AssertionError("the transaction is in no round")


def ledger(world: World, address: bytes) -> Account:
    state = State(CommittedState(world.store.load_tree()))
    assert measure_supply(state) == state.load(Supply, state_keys.SUPPLY).total
    return state.load(Account, state_keys.account_key(address)) or Account()


async def until_heard(world: World) -> None:
    """Wait until every node has a round that leaves nothing to be heard."""

    def is_heard() -> bool:
        heads = [head_of(world, name) for name in world.compute if name in world.nodes]
        return len({h.hash() for h in heads}) == 1 and heads[0].in_msgs_hash == EMPTY_HASH

    await world.until(is_heard)


def test_stake_goes_out_of_a_contract_and_comes_back():
    async def test(world: World) -> None:
        own = runtime_address(PARATIME_ID)
        staker, backing = Staker(world), ledger(world, own).balance
        await staker.deploy()
        body = {"to": VALIDATOR, "amount": amount(MINIMUM), "receipt": RECEIPT}
        assert await staker.ask("consensus.Delegate", body, value=MINIMUM) is None
        receipt = await staker.take(1)
        assert int.from_bytes(receipt["shares"], "big") == STAKE
        assert ledger(world, VALIDATOR).active.balance == STAKE
        assert ledger(world, own).balance == backing - STAKE

        await world.kill("compute-1")
        body = {"from": VALIDATOR, "shares": receipt["shares"], "receipt": RECEIPT + 1}
        assert await staker.ask("consensus.Undelegate", body) is None
        start = await staker.take(2, RECEIPT + 1)
        assert start["receipt"] == RECEIPT + 1
        await world.start_node("compute-1")
        await world.until(world.is_ready)
        assert await staker.take(3, RECEIPT + 1) is None

        while world.epoch < start["epoch"]:
            await world.client.advance_epoch(1)
            await world.until(world.is_ready)
        await until_heard(world)
        done = await staker.take(3, RECEIPT + 1)
        assert int.from_bytes(done["amount"], "big") == MINIMUM
        await until_heard(world)
        for name in world.compute:
            assert await staker.balance(name) == MINIMUM
        assert ledger(world, own).balance == backing

    in_a_world(test)
