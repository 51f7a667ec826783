"""`qanat rofl secret`: secrets of an app, which only its instances can read."""

import base64
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qanat.options import JsonOption, out
from qanat.rofl.app_commands import (
    HERE,
    LOCAL_GATEWAY,
    DeploymentOption,
    DirectoryOption,
    GatewayOption,
)

secret_app = typer.Typer(no_args_is_help=True, help="Secrets of an app, sealed to its instances.")
NameArgument = Annotated[str, typer.Argument(help="By which the app asks for it.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
SourceArgument = Annotated[Path, typer.Argument(metavar="FILE|-", help="- is standard input.")]


@secret_app.command("set")
def set_one(
    name: NameArgument,
    source: SourceArgument,
    public_name: Annotated[
        str | None, typer.Option(help="By which everybody sees it on the chain; its name else.")
    ] = None,
    force: ForceOption = False,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    as_json: JsonOption = False,
) -> None:
    """Seal a secret to the app and note it in the manifest; `qanat rofl update` sends it."""
    from qanat.rofl.project import Project

    values = {name: _read(source)}
    project = Project(directory, deployment)
    project.put_secrets(values, gateway, force=force, public_name=public_name)
    _say("sealed", [name], as_json)


@secret_app.command("import")
def import_many(
    source: SourceArgument,
    force: ForceOption = False,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    as_json: JsonOption = False,
) -> None:
    """Seal each KEY=VALUE of an `.env` file."""
    from qanat.rofl.project import Project
    from qanat.rofl.secrets import BadSecret, read_dotenv

    try:
        found = dict(read_dotenv(_read(source).decode()))
    except UnicodeDecodeError:
        raise BadSecret(f"{source} is no text") from None
    Project(directory, deployment).put_secrets(found, gateway, force=force)
    _say("sealed", list(found), as_json)


@secret_app.command("get")
def get(
    name: NameArgument,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show that a secret is in the manifest; nobody but the app can show its value."""
    from qanat.rofl.project import Project

    found = Project(directory, deployment).secret(name)
    size = len(base64.b64decode(found.value))
    if as_json:
        print(json.dumps({"name": name, "public_name": found.public_name or name, "bytes": size}))
    else:
        out.print(f"{name}: {size} bytes sealed")


@secret_app.command("rm")
def rm(
    name: NameArgument,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a secret out of the manifest; `qanat rofl update` takes it off the chain."""
    from qanat.rofl.project import Project

    Project(directory, deployment).remove_secret(name)
    _say("removed", [name], as_json)


def _say(what: str, names: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({what: names}))
    else:
        out.print(f"{what} {', '.join(names) or 'nothing'}. Next: qanat rofl update")


def _read(source: Path) -> bytes:
    from qanat.rofl.secrets import BadSecret

    if str(source) == "-":
        return sys.stdin.buffer.read()
    try:
        return source.read_bytes()
    except OSError as error:
        raise BadSecret(f"{source} cannot be read: {error.strerror}") from None
