"""What clients of upstream ask of the SDK's modules, and what they are told."""

from typing import Any

import pytest

from qanat.paratime.signing import EpochKey, seal_call
from shared.crypto.address import ethereum_address
from shared.encoding.values import to_wire
from shared.errors import RuntimeRejected
from shared.types.evm import SDK_QUERIES
from shared.types.sdk_transaction import (
    TRANSACTION_VERSION,
    AuthInfo,
    Call,
    Fee,
    SignerInfo,
    Transaction,
)
from tests.integration.world.test_consensus_messages import VALIDATOR, Staker, ledger
from tests.integration.world.test_world import in_a_world
from tests.support.attested_apps import RICH, Client, Key, Sr25519Key, fund
from tests.support.module_calls import MINIMUM, amount
from tests.support.world import World

NOBODY = b"\0" * 21
SLOT_SEVEN = (7).to_bytes(32, "big")
STORES_SEVEN = bytes.fromhex("6007600055" + "60016000f3")
"""Init code that keeps 7 and leaves one zero byte as code."""


def number(quantity: bytes) -> int:
    return int.from_bytes(quantity, "big")


def refuses(error: pytest.ExceptionInfo[RuntimeRejected]) -> tuple[str, int]:
    return error.value.module, error.value.code


def unsigned(call: Call, *keys: Key) -> dict[str, Any]:
    """A question of how much gas a transaction needs; what its fee says does not count."""
    signers = tuple(SignerInfo(key.spec, 0) for key in keys)
    tx = Transaction(TRANSACTION_VERSION, call, AuthInfo(signers, Fee((1, b""), 1)))
    return {"tx": to_wire(Transaction, tx)}


def test_stake_of_accounts_here_is_told() -> None:
    async def test(world: World) -> None:
        client, staker = Client(world), Staker(world)
        await staker.deploy()
        own = ethereum_address(staker.address)
        assert await client.query("consensus.Delegations", {"from": own}) == []
        body = {"to": VALIDATOR, "amount": amount(MINIMUM), "receipt": 2**32}
        await staker.ask("consensus.Delegate", body, value=MINIMUM)
        shares = (await staker.take(1))["shares"]
        ask = client.query
        pair = {"from": own, "to": VALIDATOR}
        assert await ask("consensus.Delegation", pair) == {"shares": shares}
        assert await ask("consensus.Delegation", {"from": NOBODY, "to": own}) == {"shares": b""}
        mine = [{"to": VALIDATOR, "shares": shares}]
        assert await ask("consensus.Delegations", {"from": own}) == mine
        assert await ask("consensus.Delegations", {"from": VALIDATOR}) == []
        assert await ask("consensus.AllDelegations") == [{"from": own} | mine[0]]

        account = await ask("consensus.Account", {"address": VALIDATOR})
        pool = ledger(world, VALIDATOR).active
        shown = {name: number(value) for name, value in account["escrow"]["active"].items()}
        assert shown == {"balance": pool.balance, "total_shares": pool.total_shares}
        assert await ask("consensus.Account", {"address": b"\0" + b"\x77" * 20}) == {}

        # Two that end in one epoch are one, whatever their receipts.
        half = number(shares) // 2
        for receipt in (7, 8):
            part = {"from": VALIDATOR, "shares": half.to_bytes(16, "big"), "receipt": receipt}
            await staker.ask("consensus.Undelegate", part)
            begun = await staker.take(2, receipt)
        (on_its_way,) = await ask("consensus.Undelegations", {"to": own})
        assert on_its_way["from"] == VALIDATOR
        assert on_its_way["epoch"] == begun["epoch"]
        assert number(on_its_way["shares"]) == 2 * half
        assert await ask("consensus.AllUndelegations") == [on_its_way | {"to": own}]
        assert await ask("consensus.Undelegations", {"to": VALIDATOR}) == []
        assert await ask("consensus.Delegations", {"from": own}) == []

    in_a_world(test)


def test_accounts_and_contracts_are_told() -> None:
    async def test(world: World) -> None:
        client, ask = Client(world), Client(world).query
        frank = Sr25519Key(b"\x46" * 32)
        await fund(client, frank.address, tokens=3)
        balance = 3 * 10**18
        assert await client.balance(frank.address) == balance
        held = await ask("consensus.Balance", {"address": frank.address})
        assert number(held["balance"]) == balance
        assert await ask("consensus.Balance", {"address": NOBODY}) == {"balance": b""}
        addresses = await ask("accounts.Addresses", {"denomination": b""})
        assert {frank.address, RICH.address} <= set(addresses)
        assert NOBODY not in addresses
        assert await ask("accounts.Addresses", {"denomination": b"OTHER"}) == []
        assert await ask("accounts.DenominationInfo", {"denomination": b""}) == {"decimals": 18}
        with pytest.raises(RuntimeRejected) as error:
            await ask("accounts.DenominationInfo", {"denomination": b"OTHER"})
        assert refuses(error) == ("accounts", 4)

        made = await client.send("evm.Create", {"value": b"", "init_code": STORES_SEVEN})
        assert made.error is None
        contract = {"address": bytes(made.value)}
        assert await ask("evm.Code", contract) == b"\0"
        assert await ask("evm.Code", {"address": RICH.ethereum}) == b""
        # What a contract keeps is secret here.
        assert await ask("evm.Storage", contract | {"index": bytes(32)}) == bytes(32)
        held = number(await ask("evm.Balance", {"address": RICH.ethereum}))
        assert held == await client.balance(RICH.address)
        call = {
            "gas_price": (1).to_bytes(32, "big"),
            "gas_limit": 100_000,
            "caller": RICH.ethereum,
            "value": bytes(32),
            "data": bytes.fromhex("600760005260206000f3"),
        }
        # Without an address it is a creation, which tells where the contract would be.
        assert len(await ask("evm.SimulateCall", call)) == 20
        identity = bytes(19) + b"\4"
        asked = call | {"address": identity, "data": b"echo"}
        assert await ask("evm.SimulateCall", asked) == b"echo"

    in_a_world(test)


def test_the_key_for_calls_and_estimates_are_what_transactions_need() -> None:
    async def test(world: World) -> None:
        client, frank = Client(world), Sr25519Key(b"\x46" * 32)
        await fund(client, frank.address)
        found = await client.query("core.CallDataPublicKey")
        assert found["epoch"] == world.epoch
        assert set(found["public_key"]) >= {"key", "checksum", "signature"}

        body = {"to": b"\0" + b"\x55" * 20, "amount": [b"\7", b""]}
        plain = Call(body, "accounts.Transfer")
        sealed = seal_call(plain, EpochKey(found["epoch"], found["public_key"]["key"]))
        for call, key in ((plain, None), (sealed.call, sealed.key)):
            for signer in (RICH, frank):
                gas = await client.query("core.EstimateGas", unsigned(call, signer))
                raw = await client.sign(call, signer)
                used = (await client.submit(raw, key)).record["gas_used"]
                # The fee that is assumed is longer than the one that was signed.
                assert used <= gas <= used + 40, (call.format, signer.named)
        secret = await client.query("core.EstimateGas", unsigned(sealed.call, RICH))
        clear = await client.query("core.EstimateGas", unsigned(plain, RICH))
        assert secret - clear > 10_000, "an encrypted call pays for being opened"

        # Nobody's word counts for who asks, so what would fail is estimated all the same.
        calls = {"address": RICH.ethereum, "value": b"\1" * 16, "data": b""}
        asked = unsigned(Call(calls, "evm.Call"), RICH)
        gas = await client.query("core.EstimateGas", asked | {"propagate_failures": True})
        assert gas > 2_000_000
        for wrong in ({}, {"tx": {}}, {"tx": {"v": 1}}, asked | {"propagate_failures": 1}):
            with pytest.raises(RuntimeRejected):
                await client.query("core.EstimateGas", wrong)

    in_a_world(test)


def test_wrong_arguments_are_refused_by_every_question() -> None:
    async def test(world: World) -> None:
        client = Client(world)
        free = {"core.MinGasPrice", "core.CallDataPublicKey", "rofl.Apps", "rofl.StakeThresholds"}
        free |= {"rofl.MetadataLimits", "consensus.AllDelegations", "consensus.AllUndelegations"}
        for method in sorted(SDK_QUERIES):
            if method in free:
                await client.query(method)
                continue
            for args in (None, 7, {"address": b"short"}, {"denomination": 1}):
                with pytest.raises(RuntimeRejected) as error:
                    await client.query(method, args)
                wanted = ("rofl", 1) if method.startswith("rofl.") else ("core", 10)
                if method == "core.EstimateGas":
                    wanted = ("core", 10)
                assert refuses(error) == wanted, (method, args)
        for method in ("roflmarket.Providers", "evm.Other", "consensus.Other", "core.Other"):
            with pytest.raises(RuntimeRejected) as error:
                await client.query(method, {})
            assert refuses(error) == ("core", 3)

    in_a_world(test)


def test_who_has_nothing_may_deposit_at_no_price() -> None:
    async def test(world: World) -> None:
        client, poor = Client(world), Sr25519Key(b"\x47" * 32)
        assert await client.balance(poor.address) == 0
        deposit = {"to": poor.address, "amount": amount(10**9)}
        taken = await client.send("consensus.Deposit", deposit, poor, price=0)
        assert taken.error is None
        assert await client.nonce(poor) == 1
        # Consensus lets nobody take what its owner did not allow.
        assert await client.balance(poor.address) == 0
        raw = await client.sign(
            Call({"to": NOBODY, "amount": amount(0)}, "accounts.Transfer"), poor, price=0
        )
        assert await client.refusal(raw) == ("core", 20)

    in_a_world(test)
