"""`qanat chain`: look into a chain of Ethereum that is in files."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from qanat.options import out

DEFAULT_PORT = 8546
chain_app = typer.Typer(no_args_is_help=True, help="A chain of Ethereum that is in files.")


@chain_app.callback()
def chain() -> None:
    """Keep `serve` a command of its own."""


@chain_app.command()
def serve(
    genesis: Annotated[Path, typer.Argument(help="genesis.json, as go-ethereum takes it.")],
    blocks: Annotated[Path, typer.Argument(help="Its blocks in RLP, one behind the other.")],
    port: Annotated[int, typer.Option(help="Port of JSON-RPC, HTTP and WebSocket.")] = DEFAULT_PORT,
    listen_host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run every block, check every root, and serve the chain until Ctrl-C."""
    import asyncio

    from services.gateway.imported.app import serve_imported
    from services.gateway.imported.chain import load_chain

    chain = load_chain(genesis, blocks)
    out.print(
        escape(f"{chain.newest} blocks of chain {chain.chain_id}: http://{listen_host}:{port}"),
        soft_wrap=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(serve_imported(chain, Path(folder), host=listen_host, port=port))
