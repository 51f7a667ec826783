"""A JSON-RPC client that costs little: one kept connection, no library in between."""

import asyncio
import json
import time
from typing import Any


class RpcError(Exception):
    """The answer is an error object."""


class Lost(Exception):
    """A transaction that was accepted has no receipt after a long time."""


RECEIPT_TIMEOUT_S = 15
"""After this a transaction counts as lost [s]."""
PAUSE_S = 0.002
"""Between two questions for a receipt, as a fast client polls [s]."""


class RawClient:
    """One HTTP/1.1 connection; one request at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self) -> "RawClient":
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, limit=2**24
        )
        return self

    async def send(self, body: bytes) -> bytes:
        """Post a body; give the answer's body."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        headers = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in headers:
            return await self._read_chunks()
        length = next(
            int(line.split(b":")[1])
            for line in headers.split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        return await self._reader.readexactly(length)

    async def _read_chunks(self) -> bytes:
        body = b""
        while True:
            size = int(await self._reader.readline(), 16)
            body += (await self._reader.readexactly(size + 2))[:-2]
            if size == 0:
                return body

    async def rpc(self, method: str, *params: Any) -> Any:
        answer = json.loads(await self.send(request(method, *params)))
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    async def receipt(self, tx_hash: str, pause_s: float = PAUSE_S) -> dict[str, Any]:
        """Ask for a receipt until it is there; `Lost` after a long time."""
        body = request("eth_getTransactionReceipt", tx_hash)
        deadline = time.monotonic() + RECEIPT_TIMEOUT_S
        while True:
            # A peer may answer that it indexes still: that is no receipt yet.
            receipt: dict[str, Any] | None = json.loads(await self.send(body)).get("result")
            if receipt is not None:
                return receipt
            if time.monotonic() > deadline:
                raise Lost(tx_hash)
            await asyncio.sleep(pause_s)

    def close(self) -> None:
        self._writer.close()


def request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
