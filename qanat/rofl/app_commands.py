"""
`qanat rofl`: an app from its manifest to the chain, in the manner of the `oasis` CLI.

What these commands stand on is imported by them alone: YAML and HTTP would make every other command
slower to start.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from qanat.options import JsonOption, err, out

GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="QANAT_GATEWAY", help="URL of the network's gateway.")
]
AccountOption = Annotated[
    str | None,
    typer.Option("--account", help="Who signs: test:N of the test mnemonic; the admin by default."),
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", help="File with the signer's key in hex instead.")
]
DeploymentOption = Annotated[
    str | None, typer.Option("--deployment", help="Which one of the manifest; its default else.")
]
DirectoryOption = Annotated[Path, typer.Option("--app", help="Directory of the app.")]
LOCAL_GATEWAY = "http://localhost:8545"
HERE = Path()
DEFAULT_IMAGE = "python:3.11-slim-bookworm"


def init(
    directory: Annotated[Path, typer.Argument(help="Made where it is not there.")] = HERE,
    reset: Annotated[
        bool, typer.Option("--reset", help="Keep the manifest, and forget its deployments.")
    ] = False,
    program: Annotated[
        str | None,
        typer.Option(help="An app of this project instead: data-market, inference, knowledge."),
    ] = None,
    kind: Annotated[
        Literal["raw", "container"],
        typer.Option(help="A Python program, or containers by a Compose file."),
    ] = "raw",
    image: Annotated[
        str, typer.Option(help="Of --kind container: image with Python, pinned as it is here.")
    ] = DEFAULT_IMAGE,
    as_json: JsonOption = False,
) -> None:
    """Make the manifest of a new app, and a small program or Compose file if there is none."""
    from qanat.rofl.project import init_project
    from qanat.rofl.ready_made import find_program, write_program
    from qanat.rofl.template import APP_FILE, write_compose, write_template

    if kind == "container" and program is not None:
        raise typer.BadParameter("is a Python program: leave --kind out", param_hint="--program")
    chosen = None if program is None else find_program(program)
    memory_mib = None if chosen is None else chosen.memory_mib
    path, manifest = init_project(directory, reset=reset, memory_mib=memory_mib, kind=kind)
    made: list[str] = []
    if chosen is not None:
        number = write_program(directory, chosen)
    elif kind == "container":
        made = list(write_compose(directory, image))
    elif write_template(directory):
        made = [APP_FILE]
    if as_json:
        files = [str(directory / name) for name in made]
        facts = {"manifest": str(path), "name": manifest.name, "version": manifest.version}
        print(json.dumps(facts | {"program": program, "files": files}))
        return
    out.print(f"{path}: {escape(manifest.name)} {manifest.version}")
    if chosen is not None:
        out.print(f"{directory}: {number} files of this project")
    for name in made:
        out.print(f"{directory / name}: what every instance runs")
    out.print("Next: qanat rofl create")


def create(
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    scheme: Annotated[
        Literal["cn", "cri"],
        typer.Option(help="What the id follows from: creator and nonce, or place in the chain."),
    ] = "cn",
    network: Annotated[str, typer.Option(help="Noted in the manifest.")] = "qanat",
    paratime: Annotated[str, typer.Option(help="Noted in the manifest.")] = "sapphire",
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the app on the chain, which locks a stake, and note its id in the manifest."""
    from qanat.rofl.project import Signer, create_app

    app_id = create_app(
        directory,
        Signer(gateway, account, key_file),
        name=deployment,
        scheme=scheme,
        network=network,
        paratime=paratime,
    )
    _tell(as_json, f"made {app_id}", app_id=app_id)


def update(
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put policy, metadata and secrets of the manifest onto the chain."""
    from qanat.rofl.project import Project, Signer

    project = Project(directory, deployment)
    project.update(Signer(gateway, account, key_file))
    _tell(as_json, f"updated {project.app_id}", app_id=project.app_id)


def set_admin(
    admin: Annotated[str, typer.Argument(metavar="OASIS1…", help="Address of the new admin.")],
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the app to another account; all else stays as it is on the chain."""
    from qanat.rofl.project import Project, Signer

    project = Project(directory, deployment)
    project.hand_over(Signer(gateway, account, key_file), admin)
    _tell(as_json, f"{project.app_id} belongs to {admin}", app_id=project.app_id, admin=admin)


def remove(
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the app from the chain: its keys and secrets are lost, its stake comes back."""
    from qanat.rofl.project import Project, Signer

    project = Project(directory, deployment)
    app_id = project.app_id
    if not yes:
        typer.confirm(f"Remove {app_id}? All its keys are lost", abort=True, err=True)
    project.remove(Signer(gateway, account, key_file))
    _tell(as_json, f"removed {app_id}", app_id=app_id)


def show(
    app: Annotated[
        str | None, typer.Argument(metavar="[ROFL1…]", help="Id; the manifest's by default.")
    ] = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    as_json: JsonOption = False,
) -> None:
    """Show what the chain knows of an app: admin, stake, policy, secrets' names, instances."""
    from qanat.rofl.project import Project, ask_chain, shown_app
    from shared.rules.app_ids import decode_app_id

    app_id = decode_app_id(app or Project(directory, deployment).app_id)
    shown = shown_app(ask_chain(gateway, lambda chain: chain.fetch_app(app_id)))
    if as_json:
        print(json.dumps(shown))
        return
    instances = shown.pop("instances")
    for name, value in shown.items():
        text = value if isinstance(value, str) else json.dumps(value, indent=2)
        out.print(f"{name}: {escape(text)}")
    out.print(f"instances: {len(instances)}")
    for one in instances:
        out.print(f"- RAK {one['rak']}, node {one['node_id']}, until epoch {one['expiration']}")


def list_apps(gateway: GatewayOption = LOCAL_GATEWAY, as_json: JsonOption = False) -> None:
    """List all apps of the chain."""
    from qanat.rofl.manifest import METADATA_PREFIX
    from qanat.rofl.project import ask_chain
    from shared.rules.app_ids import encode_app_id

    apps = ask_chain(gateway, lambda chain: chain.fetch_apps())
    rows = [{"app_id": encode_app_id(one["id"]), "metadata": one["metadata"]} for one in apps]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        out.print(f"{row['app_id']} {escape(row['metadata'].get(METADATA_PREFIX + 'name', ''))}")
    if not rows:
        err.print("there is no app")


def _tell(as_json: bool, text: str, **facts: Any) -> None:
    if as_json:
        print(json.dumps(facts))
    else:
        out.print(escape(text))
