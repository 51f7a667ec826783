"""`python -m services.consensus.abci_socket`: the application, for an engine that connects."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from services.consensus.abci_socket.server import AbciServer
from services.consensus.application import ConsensusApplication
from services.consensus.store import Store


def serve(
    socket: Annotated[Path, typer.Option(help="Unix socket to listen on.")],
    database: Annotated[Path, typer.Option(help="SQLite file of the application's state.")],
) -> None:
    """Serve the consensus application on the ABCI socket until Ctrl-C."""
    store = Store(database)
    try:
        asyncio.run(AbciServer(ConsensusApplication(store)).serve(socket))
    except KeyboardInterrupt:
        pass
    finally:
        store.close()


if __name__ == "__main__":
    typer.run(serve)
