"""
A client of a ParaTime in Python, over its gateway's HTTP.

    client = ParaTimeClient("http://localhost:8555", Account())
    number = client.send("notes.Write", "a secret")
    client.read("notes.Read", number)

Calls are encrypted where the ParaTime keeps secrets. Results are plain values: maps, lists, bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx

from qanat.paratime.signing import (
    DEFAULT_GAS,
    Account,
    EpochKey,
    open_result,
    seal_call,
    sign_call,
)
from shared.encoding import cbor
from shared.errors import PeerUnavailable, RuntimeRejected, error_from
from shared.kit.plain_http import trust_for
from shared.types.sdk_transaction import Call

TIMEOUT_S = 70.0
READ_ROUNDS = 20
"""For how many rounds a signed question is good."""


class NotInRound(PeerUnavailable):
    """The transaction was taken, but is in no round yet; ask for its hash later."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What must be known to sign."""

    runtime_id: bytes
    chain_context: str
    confidential: bool


class ParaTimeClient:
    """One account at one gateway."""

    def __init__(
        self, url: str, account: Account, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Name the gateway; nothing is asked yet. `transport` is for tests."""
        self.account = account
        self._http = httpx.Client(
            base_url=url, timeout=TIMEOUT_S, transport=transport, verify=trust_for(url)
        )
        self._chain: Chain | None = None

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close connections."""
        self._http.close()

    # -- asking --------------------------------------------------------------------------------

    def query(self, method: str, args: Any = None) -> Any:
        """Ask without a signature."""
        answer = self._post("/v1/query", {"method": method, "args_cbor": _hex(cbor.encode(args))})
        return cbor.decode(bytes.fromhex(answer["answer_cbor"][2:]))

    def read(self, method: str, body: Any = None) -> Any:
        """Ask with a signature: who asks is known, nothing is changed, nothing is paid."""
        newest = self._get("/v1/rounds/latest")["round"]
        raw, key = self._sign(Call(body, method, ro=True), nonce=0, not_after=newest + READ_ROUNDS)
        answer = self._post(
            "/v1/query",
            {"method": "core.ExecuteReadOnlyTx", "args_cbor": _hex(cbor.encode({"tx": raw}))},
        )
        return open_result(bytes.fromhex(answer["answer_cbor"][2:]), key)

    def nonce(self) -> int:
        """Nonce of the account's next transaction."""
        return int(self.query("accounts.Nonce", {"address": self.account.address}))

    def balance(self) -> int:
        """Native tokens of the account [base units]."""
        held = self.query("accounts.Balances", {"address": self.account.address})["balances"]
        return int.from_bytes(held.get(b"", b""), "big")

    # -- sending -------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        body: Any = None,
        *,
        gas: int = DEFAULT_GAS,
        fee: int = 0,
        wait_s: float = 10.0,
    ) -> Any:
        """
        Send a transaction and wait for its result.

        Raises
        ------
        RuntimeRejected
            It was not admitted, or its call failed.
        NotInRound
            It is in no round when the time is up.
        """
        raw, key = self._sign(Call(body, method), nonce=self.nonce(), gas=gas, fee=fee)
        answer = self._post("/v1/transactions", {"raw": _hex(raw), "wait_s": wait_s})
        if "result_cbor" not in answer:
            raise NotInRound(f"{answer['hash']} is in no round after {wait_s:g} s")
        return open_result(bytes.fromhex(answer["result_cbor"][2:]), key)

    def follow_events(self, from_round: int | None = None) -> Iterator[dict[str, Any]]:
        """Give events as they happen; bytes in them are `0x…` texts."""
        parameters = {} if from_round is None else {"from_round": from_round}
        with self._http.stream("GET", "/v1/events", params=parameters, timeout=None) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    # -- below ---------------------------------------------------------------------------------

    def _sign(self, call: Call, **fields: Any) -> tuple[bytes, bytes | None]:
        chain, key = self._known_chain(), None
        if chain.confidential:
            sealed = seal_call(call, self._epoch_key())
            call, key = sealed.call, sealed.key
        raw = sign_call(
            self.account,
            call,
            runtime_id=chain.runtime_id,
            chain_context=chain.chain_context,
            **fields,
        )
        return raw, key

    def _known_chain(self) -> Chain:
        if self._chain is None:
            info = self._get("/v1/info")
            self._chain = Chain(
                bytes.fromhex(info["runtime_id"][2:]), info["chain_context"], info["confidential"]
            )
        return self._chain

    def _epoch_key(self) -> EpochKey:
        answer = self.query("core.CallDataPublicKey")
        return EpochKey(answer["epoch"], answer["public_key"]["key"])

    def _get(self, path: str) -> Any:
        return _read(self._http.get(path))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _read(self._http.post(path, json=body))


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        error = answer.json()["error"]
        known = error["module"], error["code"], error["message"]
    except (ValueError, KeyError, TypeError):
        raise RuntimeRejected("http", answer.status_code, answer.text[:200]) from None
    raise error_from(*known, may_retry=answer.status_code >= 500)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
