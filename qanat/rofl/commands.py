"""Commands for people who write attested apps."""

import json
from pathlib import Path
from typing import Annotated

import typer

from qanat.options import JsonOption, SeedOption, err, out, seed_of
from qanat.rofl import app_commands, worker_commands
from qanat.rofl.accept_command import accept
from qanat.rofl.secret_commands import secret_app
from shared.crypto.address import MalformedAddress
from shared.rules.app_ids import decode_app_id

rofl_app = typer.Typer(no_args_is_help=True, help="Attested apps (ROFL). The TEE is a MOCK.")
rofl_app.add_typer(secret_app, name="secret")
for command in ("init", "create", "update", "show", "set_admin", "remove"):
    rofl_app.command(command.replace("_", "-"))(getattr(app_commands, command))
rofl_app.command("list")(app_commands.list_apps)
for command in ("build", "deploy", "instances", "logs", "stop", "start", "undeploy"):
    rofl_app.command(command)(getattr(worker_commands, command))
rofl_app.command()(accept)


@rofl_app.command()
def appd(
    socket: Annotated[
        Path, typer.Option(help="Unix socket to make; an app reaches the daemon there.")
    ] = Path("rofl-appd.sock"),
    port: Annotated[
        int | None, typer.Option(min=0, help="Loopback port beside it; 0 takes a free one.")
    ] = None,
    app_id: Annotated[
        str | None, typer.Option(help="`rofl1…`; a fixed one of no network by default.")
    ] = None,
    compose: Annotated[
        Path | None, typer.Option(help="File that describes the app, to be measured.")
    ] = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the app daemon alone, without a network and with known keys, for an app's unit tests."""
    import asyncio

    from qanat.rofl.alone import ALONE_APP, make_alone
    from qanat.rofl.serve import serve_appd

    try:
        known = ALONE_APP if app_id is None else decode_app_id(app_id)
    except MalformedAddress as error:
        raise typer.BadParameter(error.message, param_hint="--app-id") from None
    text = "" if compose is None else compose.read_text()
    instance, _ = make_alone(app_id=known, seed=seed_of(seed), compose=text)
    err.print("MOCK keys that everybody can derive: for tests only")

    def tell(places: tuple[str, ...]) -> None:
        if as_json:
            print(json.dumps({"addresses": places}), flush=True)
            return
        for place in places:
            out.print(place)

    asyncio.run(serve_appd(instance, socket, port, tell))
