"""A JSON-RPC client that costs little: one kept connection, no library in between."""

import asyncio
import json
from typing import Any


class RawClient:
    """One HTTP/1.1 connection; one request at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self) -> "RawClient":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def send(self, body: bytes) -> bytes:
        """Post a body; give the answer's body."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        headers = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in headers.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return await self._reader.readexactly(length)

    async def rpc(self, method: str, *params: Any) -> Any:
        answer = json.loads(await self.send(request(method, *params)))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        """Ask for a receipt again and again, without a pause."""
        body = request("eth_getTransactionReceipt", tx_hash)
        while True:
            receipt: dict[str, Any] | None = json.loads(await self.send(body))["result"]
            if receipt is not None:
                return receipt

    async def receipt_soon(self, tx_hash: str, pause_s: float) -> dict[str, Any]:
        """Ask for a receipt with a pause in between, as many waiting clients together do."""
        body = request("eth_getTransactionReceipt", tx_hash)
        while True:
            receipt: dict[str, Any] | None = json.loads(await self.send(body))["result"]
            if receipt is not None:
                return receipt
            await asyncio.sleep(pause_s)

    def close(self) -> None:
        self._writer.close()


def request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
