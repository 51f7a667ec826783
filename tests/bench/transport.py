"""
Cost of one message between two processes' worth of code on one loop; run it as a module.

`python -m tests.bench.transport` prints microseconds of CPU for both ends together: frames on a
connection that began as an upgrade (of a stranger, and of a node that proved its key), the same
frames over TLS, and one `POST` of the same method.
"""

import asyncio
import ssl
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from shared.encoding import cbor
from shared.encoding.contract import client_of
from shared.kit import limits
from shared.kit.channel import Channel
from shared.kit.dialing import ANONYMOUS, Credentials
from shared.kit.service import Service
from tests.support.wire import CLIENT, SERVER, linked, serving

CALLS, ROUNDS = 3_000, 5
SMALL, LARGE = 200, 100_000
"""A vote, and a small batch [bytes]."""


class Echo(Protocol):
    async def echo(self, body: bytes) -> bytes: ...


class RealEcho:
    async def echo(self, body: bytes) -> bytes:
        return body


def echo_service() -> Service:
    return Service((Echo, RealEcho()), admits=CLIENT.public_key.__eq__)


async def cost_us(call: Callable[[], Awaitable[object]], calls: int = CALLS) -> float:
    """Least CPU time of several rounds: what disturbs only adds."""
    await call()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            await call()
        best = min(best, (time.process_time() - began) / calls * 1e6)
    return best


async def frames_us(size: int, credentials: Credentials) -> float:
    async with serving(echo_service()) as server, linked(server, credentials, SERVER) as link:
        api = client_of(Echo, link)
        return await cost_us(lambda: api.echo(bytes(size)))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=node"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


async def tls_us(size: int, key: Path, certificate: Path) -> float:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.load_verify_locations(certificate)
    return await direct_us(size, server_side, client_side)


async def direct_us(
    size: int, server_side: ssl.SSLContext | None = None, client_side: ssl.SSLContext | None = None
) -> float:
    """Frames from the first byte on, as they were before there was an upgrade."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Channel("a client", echo_service(), limits.PEER), "127.0.0.1", 0, ssl=server_side
    )
    port = server.sockets[0].getsockname()[1]
    _, channel = await loop.create_connection(
        lambda: Channel("a node", None, limits.DIALED), "127.0.0.1", port, ssl=client_side
    )
    api = client_of(Echo, channel)
    cost = await cost_us(lambda: api.echo(bytes(size)))
    channel.close()
    server.close()
    return cost


async def post_us(size: int) -> float:
    async with serving(echo_service()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = cbor.encode_loosely({"body": bytes(size)})
        head = (
            "POST /v1/tests/echo HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/cbor\r\nContent-Length: {len(body)}\r\n\r\n"
        )

        async def post() -> None:
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)

        cost = await cost_us(post, CALLS // 10)
        writer.close()
        return cost


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = make_certificate(Path(folder))
        print("us of CPU a call, both ends     small    large")
        for name, measure in (
            ("frames, no upgrade", direct_us),
            ("frames, stranger", lambda size: frames_us(size, ANONYMOUS)),
            ("frames, node keys proven", lambda size: frames_us(size, Credentials(CLIENT))),
            ("frames over TLS 1.3", lambda size: tls_us(size, key, certificate)),
            ("POST, kept connection", post_us),
        ):
            print(f"{name:28} {await measure(SMALL):8.1f} {await measure(LARGE):8.1f}")


if __name__ == "__main__":
    asyncio.run(main())
