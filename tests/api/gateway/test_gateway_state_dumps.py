"""`anvil_dumpState` and `anvil_loadState`: what one chain gives, another one takes."""

import gzip
import json

import pytest

from services.gateway import public_state
from services.gateway.probe import PlainCallProbe
from services.gateway.rpc import state_dumps
from shared.api.evm import EvmQueries
from shared.rules.dev_transactions import dev_address
from shared.types.evm import ACCOUNTS, SLOTS, StateItems
from tests.support.fake_compute import SIGNER, FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.signing import RECEIVER, sign

CONTRACT, LIBRARY, STRANGER = "0x" + "44" * 20, "0x" + "22" * 20, "0x" + "77" * 20
OWNER = "0x" + dev_address(SIGNER.public_key).hex()
FORWARDS = "0x5f5f5f5f34" + "73" + "77" * 20 + "5af1"
"""Passes on what it is paid to STRANGER: PUSH0 * 4, CALLVALUE, PUSH20, GAS, CALL."""
SLOT, VALUE = "0x" + "00" * 31 + "09", "0x" + "ab" * 32


def public(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return running_gateway(
        folder,
        chain=FakeChain(balances=BALANCES, confidential=False),
        confidential=False,
        unsafe_dev_controls=True,
        probe=PlainCallProbe(),
    )


def unpacked(dump: str) -> dict:
    return json.loads(gzip.decompress(bytes.fromhex(dump[2:])))


def packed(accounts: dict) -> str:
    return "0x" + json.dumps({"accounts": accounts}).encode().hex()


async def fill(gateway) -> None:
    """Code, storage, an account that only a contract has paid, and one that only exists."""
    await gateway.rpc("anvil_setCode", CONTRACT, FORWARDS)
    await gateway.rpc("anvil_setStorageAt", CONTRACT, SLOT, VALUE)
    await gateway.rpc("anvil_setCode", LIBRARY, "0x6001")
    await gateway.send(sign(0, to=CONTRACT, value=5))


async def shown(gateway, address: str) -> tuple[str, str, str, str]:
    return (
        await gateway.rpc("eth_getBalance", address, "latest"),
        await gateway.rpc("eth_getTransactionCount", address, "latest"),
        await gateway.rpc("eth_getCode", address, "latest"),
        await gateway.rpc("eth_getStorageAt", address, SLOT, "latest"),
    )


async def test_a_dump_has_every_account_in_anvils_form(tmp_path):
    async with public(tmp_path, "one") as gateway:
        await fill(gateway)
        dump = unpacked(await gateway.rpc("anvil_dumpState"))
        assert dump["block"] is None
        assert dump["blocks"] == dump["transactions"] == []
        accounts = dump["accounts"]
        assert accounts[STRANGER] == {"nonce": 0, "balance": "0x5", "code": "0x", "storage": {}}
        assert accounts[CONTRACT]["storage"] == {SLOT: VALUE}
        assert accounts[CONTRACT]["code"] == FORWARDS
        assert accounts[LIBRARY]["code"] == "0x6001"
        assert accounts[FIRST_ADDRESS.lower()]["nonce"] == 1
        assert OWNER not in accounts


async def test_another_chain_takes_it_and_goes_on(tmp_path):
    async with public(tmp_path, "one") as first, public(tmp_path, "two") as second:
        await fill(first)
        dump = await first.rpc("anvil_dumpState", False)
        await second.send(sign(0, to=RECEIVER, value=3))
        await second.send(sign(1, to=RECEIVER, value=3))
        start = await second.rpc("eth_blockNumber")
        assert await second.rpc("anvil_loadState", dump) is True
        for address in (CONTRACT, LIBRARY, STRANGER):
            assert await shown(second, address) == await shown(first, address)
        # A nonce does not fall, and what the dump does not name stays.
        assert await second.rpc("eth_getTransactionCount", FIRST_ADDRESS, "latest") == "0x2"
        assert await second.rpc("eth_getBalance", RECEIVER, "latest") == "0x6"
        assert int(await second.rpc("eth_blockNumber"), 16) > int(start, 16)
        await second.send(sign(2, to=CONTRACT, value=4))
        assert await second.rpc("eth_getBalance", STRANGER, "latest") == "0x9"


async def test_what_is_there_already_is_not_written_again(tmp_path):
    async with public(tmp_path, "one") as gateway:
        await gateway.rpc("anvil_setCode", LIBRARY, "0x6001")
        await gateway.rpc("anvil_setBalance", LIBRARY, "0x7")
        dump = await gateway.rpc("anvil_dumpState")
        before = await gateway.rpc("eth_blockNumber")
        assert await gateway.rpc("anvil_loadState", dump) is True
        assert await gateway.rpc("eth_blockNumber") == before


async def test_hundreds_of_slots_are_loaded(tmp_path):
    async with public(tmp_path, "one") as gateway:
        storage = {hex(slot): hex(slot + 1) for slot in range(450)}
        dump = packed({CONTRACT: {"code": "0x00", "storage": storage}})
        assert await gateway.rpc("anvil_loadState", dump) is True
        for slot in (0, 199, 200, 449):
            found = await gateway.rpc("eth_getStorageAt", CONTRACT, hex(slot), "latest")
            assert int(found, 16) == slot + 1
        accounts = unpacked(await gateway.rpc("anvil_dumpState"))["accounts"]
        assert len(accounts[CONTRACT]["storage"]) == 450


async def test_all_is_loaded_or_nothing(tmp_path, monkeypatch):
    async with public(tmp_path, "one") as gateway:
        # Nobody edits the owner's own account, which is otherwise left out: one of three fails.
        monkeypatch.setattr(state_dumps.StateDumpMethods, "_owner", lambda _: None)
        first, last = "0x" + "00" * 19 + "01", "0x" + "ff" * 20
        dump = packed({first: {"balance": 5}, OWNER: {"nonce": 2**63}, last: {"balance": 5}})
        error = await gateway.error("anvil_loadState", dump)
        assert "malformed" in error["message"]
        # Nor does what waited for the one that failed come later.
        for _ in range(3):
            await gateway.rpc("anvil_setBalance", STRANGER, "0x7")
        for address in (first, last):
            assert await gateway.rpc("eth_getBalance", address, "latest") == "0x0"
        assert await gateway.rpc("anvil_loadState", packed({last: {"balance": 5}})) is True
        assert await gateway.rpc("eth_getBalance", last, "latest") == "0x5"


async def test_a_confidential_chain_takes_a_dump_and_gives_none(tmp_path):
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as gateway:
        error = await gateway.error("anvil_dumpState")
        assert "qanat dump" in error["message"]
        dump = packed({STRANGER: {"balance": "0x5", "code": "0x6001"}, SECOND_ADDRESS: {}})
        assert await gateway.rpc("anvil_loadState", dump) is True
        assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x5"
        assert await gateway.rpc("eth_getBalance", SECOND_ADDRESS, "latest") == "0x0"


@pytest.mark.parametrize(
    "dump",
    [
        "0x",
        "0x7b",
        "0x1f8b00",
        "0x" + gzip.compress(b"{}", mtime=0)[:-6].hex(),
        "0x" + gzip.compress(b"{}", mtime=0).hex(),
        packed({"0x11": {}}),
        packed({STRANGER: {"balance": -1}}),
    ],
)
async def test_what_is_no_dump_is_an_invalid_parameter(tmp_path, dump):
    async with public(tmp_path, "one") as gateway:
        assert (await gateway.error("anvil_loadState", dump))["code"] == -32602


async def test_a_dump_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(state_dumps, "MAX_DUMP_BYTES", 1_000)
    async with public(tmp_path, "one") as gateway:
        bomb = "0x" + gzip.compress(bytes(2_000)).hex()
        error = await gateway.error("anvil_loadState", bomb)
        assert "more than 1000 bytes" in error["message"]
        monkeypatch.setattr(state_dumps, "MAX_EDITS", 2)
        many = packed({f"0x{index:040x}": {"balance": 1} for index in range(3)})
        assert "at most 2" in (await gateway.error("anvil_loadState", many))["message"]


async def test_a_state_that_is_too_large_for_a_dump_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(public_state, "MAX_PART_BYTES", 3_000)
    async with public(tmp_path, "one") as gateway:
        await fill(gateway)
        await gateway.rpc("anvil_dumpState")
        await gateway.rpc("anvil_setCode", LIBRARY, "0x" + "00" * 3_000)
        assert "more than 3000 bytes" in (await gateway.error("anvil_dumpState"))["message"]


@pytest.mark.parametrize(
    "item",
    [(b"", b""), (ACCOUNTS, b""), (ACCOUNTS + bytes(21), b"\x01" + bytes(9)), (SLOTS, b"\x01")],
)
async def test_a_node_that_answers_nonsense_is_not_believed(tmp_path, monkeypatch, item):
    async def lie(*_):
        return StateItems((item,), is_last=False)

    monkeypatch.setattr(EvmQueries, "fetch_state", lie)
    async with public(tmp_path, "one") as gateway:
        assert "no known form" in (await gateway.error("anvil_dumpState"))["message"]


async def test_history_is_in_no_dump(tmp_path):
    async with public(tmp_path, "one") as gateway:
        assert "qanat dump" in (await gateway.error("anvil_dumpState", True))["message"]
