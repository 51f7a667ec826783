"""`qanat view`: the local endpoint, until Ctrl-C."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    NetworkOption,
    data_layout,
    err,
    find_network,
    out,
)

if TYPE_CHECKING:
    from qanat.observe import Running

DEFAULT_PORT = 8547
DEFAULT_GATEWAY_PORT = 8545
ForeignOption = Annotated[
    Literal["refuse", "pass"],
    typer.Option(help="What becomes of transactions in plain, signed by keys that are not held."),
]


def view(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = DEFAULT_PORT,
    gateway: Annotated[
        str | None, typer.Option(help="URL of the gateway; by default the running network's.")
    ] = None,
    gateway_ws: Annotated[
        str | None, typer.Option("--gateway-ws", help="URL of its WebSocket, where it differs.")
    ] = None,
    key_file: Annotated[
        list[Path] | None,
        typer.Option("--key-file", help="Keys: a keystore, or one in hex a line, mode 0600."),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Password of keystores; asked for by default.")
    ] = None,
    test_accounts: Annotated[
        bool, typer.Option(help="Hold the keys of the network file's accounts.")
    ] = True,
    foreign: ForeignOption = "refuse",
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="A web page that may sign with your keys."),
    ] = None,
    profile: Annotated[
        Literal["strict", "dev"] | None,
        typer.Option(help="Asked of the gateway where a tool asks for none."),
    ] = None,
    debug_key: Annotated[
        Path | None,
        typer.Option(help="File of the network's debug key; with --gateway that of --data."),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Print each request that would have leaked.")
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
) -> None:
    """Serve unmodified tools: seal and sign what they send, show answers in plain."""
    import asyncio

    from qanat.debug_keys import choose_debug_key
    from qanat.view.serve import ViewOptions, serve_view

    url = gateway or _gateway_of(network, data)
    options = ViewOptions(
        port=port,
        gateway=url,
        gateway_ws=gateway_ws or _websocket_of(url),
        secrets=tuple(
            _secrets(network, key_file or (), password_file, test_accounts=test_accounts)
        ),
        passes_foreign=foreign == "pass",
        origins=tuple(allow_origin or ()),
        profile=profile,
        debug_key=choose_debug_key(
            data_layout(network, data),
            None if gateway else _running(network, data),
            debug_key,
        ),
        is_logged=log,
    )
    asyncio.run(serve_view(options, lambda line: out.print(escape(line), soft_wrap=True)))


def _gateway_of(network: Path, data: Path | None) -> str:
    from qanat.launcher.state import load_running_state

    state = load_running_state(data_layout(network, data))
    return f"http://127.0.0.1:{DEFAULT_GATEWAY_PORT if state is None else state.port_base}"


def _running(network: Path, data: Path | None) -> "Running | None":
    from qanat.observe import NotRunning

    try:
        return find_network(network, data, DEFAULT_PORT_BASE)
    except NotRunning:
        return None


def _websocket_of(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()


def _secrets(
    network: Path, key_files: Iterable[Path], password_file: Path | None, *, test_accounts: bool
) -> list[bytes]:
    from qanat.funding import choose_funding
    from qanat.network import load_network
    from qanat.view.keys import keys_of, read_key_file

    def ask_password(name: str) -> str:
        if password_file is not None:
            return password_file.read_text().rstrip("\r\n")
        answer: str = typer.prompt(f"Password of {name}", hide_input=True, err=True)
        return answer

    found = [key for path in key_files for key in read_key_file(path, ask_password)]
    if test_accounts:
        funding = choose_funding(load_network(network), to=None, count=None, amount=None)
        found += keys_of(funding.accounts)
    if not found:
        err.print("no key is held: calls are sealed, but nothing can be signed")
    return found
