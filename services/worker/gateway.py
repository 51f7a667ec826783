"""The ParaTime as a worker reaches it: by its gateway's JSON-RPC, as any client."""

import asyncio
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from services.worker.enclave.protocol import CallKey
from shared.crypto.hashes import sha512_256
from shared.encoding import cbor
from shared.errors import Rejected, RuntimeRejected, Unavailable
from shared.kit.plain_http import NOBODY
from shared.rules.key_policy import SIGNED_KEY_LIFETIME
from shared.types.identity import Epoch
from shared.types.keymanager import SignedPublicKey
from shared.types.sdk_transaction import NATIVE

TIMEOUT_S = 8.0
"""How long an answer may take [s]: less than an enclave waits for its host."""
PATIENCE_S = 30.0
"""How long a transaction of this host may take to be in a block [s]."""
POLL_S = 0.2
MAX_ANSWER_BYTES = 16 << 20
MAX_NUMBER = 2**63 - 1
"""Of nonces, epochs and prices of gas that an enclave takes."""


class GatewaySilent(Unavailable, module="worker", code=21):
    """The gateway does not answer, or not as one does."""


class NotMined(Unavailable, module="worker", code=22):
    """A transaction is in no block yet."""


class Gateway:
    """A client of one gateway."""

    def __init__(self, address: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Take `host:port`; `transport` stands for the network where there is none."""
        self._client = httpx.AsyncClient(
            base_url=f"http://{address}",
            timeout=TIMEOUT_S,
            trust_env=False,
            transport=transport,
            verify=NOBODY,
        )
        self._id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch_gas_price(self) -> int:
        """Least price of gas [base units]."""
        return _number(_amount(await self.ask("core.MinGasPrice", None)))

    async def fetch_nonce(self, address: bytes) -> int:
        """Nonce of the next transaction of an account, 21 bytes."""
        return _number(await self.ask("accounts.Nonce", {"address": address}))

    async def fetch_balance(self, address: bytes) -> int:
        """Balance of an account [base units]."""
        found = await self.ask("accounts.Balances", {"address": address})
        return _amount(found.get("balances") if isinstance(found, dict) else None)

    async def ask(self, method: str, args: Any) -> Any:
        """Ask a module; raises RuntimeRejected where it refuses."""
        return cbor.decode(await self.query(method, cbor.encode(args)))

    async def query(self, method: str, args: bytes) -> bytes:
        """Ask a module, CBOR in and out."""
        return _bytes(await self._call("oasis_query", method, "0x" + args.hex()))

    async def prove_app(self, app_id: bytes, round_: int) -> bytes:
        """Prove the record of an app under the state root of a round."""
        return _bytes(await self._call("oasis_proveApp", "0x" + app_id.hex(), hex(round_)))

    async def fetch_call_key(self) -> CallKey:
        """Key to which calls are encrypted now."""
        found = await self._call("oasis_callDataPublicKey")
        if not isinstance(found, dict):
            raise GatewaySilent("the gateway answers no key")
        epoch = Epoch(_number(found.get("epoch", 0)))
        key, checksum, signature = (
            _bytes(found.get(name)) for name in ("key", "checksum", "signature")
        )
        # Clients are not told until when the signature holds, but it covers that.
        until = Epoch(epoch + SIGNED_KEY_LIFETIME)
        return CallKey(epoch, SignedPublicKey(key, checksum, signature, until))

    async def submit(self, raw: bytes) -> bytes:
        """Send a transaction; its hash."""
        return _bytes(await self._call("oasis_sendRawTransaction", "0x" + raw.hex()))

    async def fetch_result(self, hash_: bytes) -> bytes | None:
        """Call result of a transaction, CBOR; None while it is in no block."""
        found = await self._call("oasis_getTransactionResult", "0x" + hash_.hex())
        if found is None:
            return None
        return _bytes(found.get("result") if isinstance(found, dict) else None)

    async def execute(self, raw: bytes) -> bytes:
        """
        Send a transaction and wait for its call result.

        Raises
        ------
        RuntimeRejected, GatewaySilent, NotMined
            See each class.
        """
        hash_ = sha512_256(raw)
        await self.submit(raw)
        for _ in range(int(PATIENCE_S / POLL_S)):
            result = await self.fetch_result(hash_)
            if result is not None:
                return result
            await asyncio.sleep(POLL_S)
        raise NotMined(f"transaction {hash_.hex()} is in no block yet")

    async def _call(self, method: str, *params: Any) -> Any:
        self._id += 1
        request = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        try:
            response = await self._client.post("/", json=request)
            if len(response.content) > MAX_ANSWER_BYTES:
                raise GatewaySilent(f"{method}: the answer is too long")
            # The standard library's parser ends the process on brackets that nest deep.
            answer = orjson.loads(response.content)
        except (httpx.HTTPError, ValueError) as error:
            raise GatewaySilent(f"{method}: {str(error) or type(error).__name__}") from error
        match answer:
            case {"error": {"message": str(message)}}:
                raise RuntimeRejected("gateway", 1, f"{method}: {message}")
            case {"result": result}:
                return result
            case _:
                raise GatewaySilent(f"{method}: the answer is none of JSON-RPC")


def _bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError, TypeError):
        raise GatewaySilent("the gateway answers no bytes") from None


def _number(value: Any) -> int:
    # A truth value is an int as well.
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise GatewaySilent("the gateway answers no number")
    return value


def _amount(value: Any) -> int:
    found = value.get(NATIVE) if isinstance(value, dict) else None
    if not isinstance(found, bytes):
        raise Rejected("the ParaTime tells no amount of its own token")
    return int.from_bytes(found, "big")
