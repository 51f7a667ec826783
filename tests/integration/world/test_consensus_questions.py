"""A contract asks what consensus holds: each node has the same answer, whatever it has seen."""

from typing import Any

import cbor2
from eth_abi import decode

from shared.api.evm import EvmQueries
from shared.crypto.address import staking_address
from shared.rules import state_keys
from shared.types.block import BlockHeader
from shared.types.evm import EvmCall
from shared.types.identity import Round
from tests.integration.world.test_consensus_messages import VALIDATOR, Staker, ledger, until_heard
from tests.integration.world.test_world import head_of, in_a_world
from tests.support.attested_apps import Client
from tests.support.keymanager import PARATIME_ID
from tests.support.module_calls import MINIMUM, amount, asked
from tests.support.world import World
from tests.support.world_genesis import identity_of

UNKNOWN = b"\x80" + b"\x77" * 31


def root_of(round_: int, kind: int = 1, runtime_id: bytes = PARATIME_ID) -> dict[str, Any]:
    return {"runtime_id": runtime_id, "round": round_, "kind": kind}


async def header(world: World, round_: int) -> BlockHeader:
    found = await world.client.fetch_round_header(PARATIME_ID, Round(round_))
    assert found is not None
    return found


def no_discrepancy(world: World) -> bool:
    return not any(events.discrepancies or events.slashed for events in world.happened())


async def look(world: World, name: str, staker: Staker, method: str, body: Any) -> Any:
    """Ask one node in a question."""
    call = EvmCall(bytes(20), staker.address, 1_000_000, 0, 0, asked(method, body))
    answer = await EvmQueries(world.ask(name)).call(call)
    status, data = decode(["uint64", "bytes"], answer)
    assert status == 0, data
    return cbor2.loads(data)


def test_roots_of_rounds_are_those_of_their_headers():
    async def test(world: World) -> None:
        staker = Staker(world)
        await staker.deploy()
        past = head_of(world, "compute-0").round
        for kind, name in ((1, "state_root"), (2, "io_root")):
            expected = getattr(await header(world, past), name)
            assert await staker.ask("consensus.RoundRoot", root_of(past, kind)) == expected
        assert await staker.ask("consensus.RoundRoot", root_of(past + 1_000)) is None
        assert await staker.ask("consensus.RoundRoot", root_of(1, 1, UNKNOWN)) is None
        for name in world.compute:
            head = head_of(world, name)
            seen = await look(world, name, staker, "consensus.RoundRoot", root_of(past))
            assert seen == (await header(world, past)).state_root
            assert head.round >= past
        assert no_discrepancy(world)

    in_a_world(test)


def test_shares_are_worth_what_the_ledger_says_also_after_a_rewind():
    async def test(world: World) -> None:
        staker = Staker(world)
        await staker.deploy()
        body = {"to": VALIDATOR, "amount": amount(MINIMUM), "receipt": 2**32}
        await staker.ask("consensus.Delegate", body, value=MINIMUM)
        receipt = await staker.take(1)
        pool = ledger(world, VALIDATOR).active
        question = {"address": VALIDATOR, "pool": 1, "shares": receipt["shares"]}
        answer = await staker.ask("consensus.SharesToTokens", question)
        shares = int.from_bytes(receipt["shares"], "big")
        assert int.from_bytes(answer, "big") == shares * pool.balance // pool.total_shares

        # A node that begins anew reads the same state as those that were there.
        await world.kill("compute-1")
        await world.start_node("compute-1")
        await world.until(world.is_ready)
        for name in world.compute:
            assert await look(world, name, staker, "consensus.SharesToTokens", question) == answer

        # The round before the rewind became final in the life before.
        before = world.consensus.height
        await world.client.mine_blocks(3)
        await world.rewind(before)
        await world.until(world.is_ready)
        assert await staker.ask("consensus.SharesToTokens", question) == answer
        await until_heard(world)
        assert no_discrepancy(world)

    in_a_world(test)


def test_a_transaction_may_ask_itself_and_the_market_is_not_there():
    async def test(world: World) -> None:
        client = Client(world)
        past = head_of(world, "compute-0").round
        told = await client.send("consensus.RoundRoot", root_of(past))
        assert (told.error, told.value) == (None, (await header(world, past)).state_root)
        for method in ("roflmarket.InstanceCreate", "roflmarket.ProviderCreate"):
            refused = await client.send(method, {})
            assert refused.error == ("core", 3)
            told = refused.record["error"]["message"]
            assert told.startswith(f"invalid method: {method} (there is no market for machines")
            assert "qanat rofl deploy" in told
        # A contract is told the code, as of any method that is not there.
        other = await client.send("rofl.Other", {})
        assert other.record["error"]["message"] == "invalid method: rofl.Other"
        assert (await client.send("consensus.RoundRoot", root_of(past))).error is None

    in_a_world(test)


def test_stake_of_a_node_is_that_of_its_entity():
    async def test(world: World) -> None:
        staker = Staker(world)
        await staker.deploy()
        entity = staking_address(identity_of("compute-0").entity.public_key)
        pool = ledger(world, entity).active
        question = {"address": entity, "pool": 1, "shares": b"\x03\xe8"}
        answer = await staker.ask("consensus.SharesToTokens", question)
        assert int.from_bytes(answer, "big") == 1_000 * pool.balance // pool.total_shares
        (raw,) = await world.client.fetch_state((state_keys.account_key(entity),))
        assert raw is not None

    in_a_world(test)
