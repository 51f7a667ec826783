"""Runs the local endpoint."""

import asyncio
import signal
from dataclasses import dataclass, field

from qanat.view.answers import Answers
from qanat.view.asking import is_owner
from qanat.view.chain import find_chain
from qanat.view.endpoint import MAX_MESSAGE_BYTES, ViewEndpoint
from qanat.view.gateway import Gateway
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog, Print
from services.gateway.rpc.handshake import HandshakeProtocol
from shared.crypto.signing import Signer
from shared.kit.http import HttpServer
from shared.kit.logs import configure_logs

HOST = "127.0.0.1"
"""The loopback, and nothing else: whoever reaches the port signs with the developer's keys."""
KEEP_ALIVE_S = 120


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """What the command line says."""

    port: int
    gateway: str
    """URL."""
    gateway_ws: str
    """URL."""
    secrets: tuple[bytes, ...] = field(repr=False)
    """Keys of accounts, 32 bytes each."""
    passes_foreign: bool
    origins: tuple[str, ...]
    profile: str | None
    debug_key: Signer | None = field(repr=False)
    """The network's, where this machine has it."""
    is_logged: bool


async def serve_view(options: ViewOptions, write: Print) -> None:
    """
    Serve until Ctrl-C or SIGTERM.

    Raises
    ------
    GatewaySilent, GatewayRefused
        The gateway is not there, or not ready.
    PortTaken
        Another process has the port.
    BadKeyFile
        A secret is no key.
    """
    # Its tracebacks show no values, among which a key may be.
    configure_logs("warning", as_json=False)
    keys = Keyring(options.secrets)
    leaks = LeakLog(write if options.is_logged else None)
    async with Gateway(options.gateway) as gateway:
        chain = await find_chain(gateway)
        debug_key = options.debug_key
        if debug_key is not None and chain.is_confidential:
            debug_key = debug_key if await is_owner(gateway, debug_key) else None
        answers = Answers(
            gateway,
            chain,
            keys,
            leaks,
            passes_foreign=options.passes_foreign,
            debug_key=debug_key,
        )
        app = ViewEndpoint(answers, options.gateway_ws, options.origins, options.profile)
        server = HttpServer(
            app,
            HOST,
            options.port,
            http="httptools",
            ws=HandshakeProtocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        write(f"http and ws://localhost:{server.port} -> {options.gateway}")
        if not chain.is_confidential:
            write("this ParaTime is public: nothing is sealed")
        elif debug_key is None:
            found = "the debug key here is not this network's"
            missing = "no debug key of the network is here"
            write(f"{missing if options.debug_key is None else found}: nothing secret is shown")
        write(f"signs for {len(keys.addresses)} accounts; Ctrl-C ends it")
        serving = asyncio.ensure_future(server.serve())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            write("stopped")
