"""Accounts that own apps, and a chain that refuses, in words."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from eth_account import Account

from qanat.rofl.owner import AppRefused, NoAccount, Owner, find_account
from qanat.view.gateway import Gateway
from shared.crypto.address import ethereum_address
from shared.encoding import cbor
from tests.support.networks import FIRST_KEY, SECOND_KEY


def test_test_accounts_and_keys_in_files_are_found(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SECOND_KEY + "\n")
    for found, key in ((find_account("test:0"), FIRST_KEY), (find_account("x", path), SECOND_KEY)):
        assert found.address == ethereum_address(bytes.fromhex(Account.from_key(key).address[2:]))


@pytest.mark.parametrize("text", [None, "", "0x12", "zz", "00" * 32, "0x" + "ff" * 32])
def test_what_is_no_key_is_told_and_not_shown(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoAccount) as told:
        find_account("test:0", path)
    assert not text or text not in told.value.message


@pytest.mark.parametrize("name", ["", "alice", "test:", "test:-1", "test:100", "test:²", "dev:0"])
def test_no_account_of_this_name(name: str) -> None:
    with pytest.raises(NoAccount):
        find_account(name)


def chain_that(**answers: Any) -> Owner:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = orjson.loads(request.content)
        found = answers[asked["method"]]
        told = (
            {"error": found} if isinstance(found, dict) and "code" in found else {"result": found}
        )
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], **told})

    gateway = Gateway("http://gateway", transport=httpx.MockTransport(answer))
    return Owner(gateway, find_account("test:0"))


def failed(module: str, code: int) -> dict[str, Any]:
    result = cbor.encode({"fail": {"module": module, "code": code, "message": "why"}})
    return {"result": "0x" + result.hex()}


@pytest.mark.parametrize(
    ("module", "code", "told"),
    [("rofl", 11, "another admin"), ("accounts", 2, "too little"), ("evm", 2, "evm 2: why")],
)
async def test_a_refusal_of_the_chain_is_told_in_words(module: str, code: int, told: str) -> None:
    owner = chain_that(
        oasis_runtimeInfo={"runtimeId": "0x" + "00" * 32, "chainContext": "ab"},
        eth_gasPrice="0x1",
        oasis_query="0x" + cbor.encode(7).hex(),
        oasis_sendRawTransaction="0x" + "11" * 32,
        oasis_getTransactionResult=failed(module, code),
    )
    async with owner:
        with pytest.raises(AppRefused, match=told):
            await owner.remove(bytes(21))


async def test_an_app_that_is_not_there_is_told() -> None:
    error = {"code": -32000, "message": "rofl: unknown application"}
    async with chain_that(oasis_query=error) as owner:
        with pytest.raises(AppRefused, match="unknown application"):
            await owner.fetch_app(bytes(21))
