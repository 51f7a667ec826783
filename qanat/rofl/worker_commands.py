"""`qanat rofl build`, `deploy` and what follows: an app on the workers of a network."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    err,
    find_network,
    out,
)
from qanat.rofl.app_commands import (
    HERE,
    LOCAL_GATEWAY,
    AccountOption,
    DeploymentOption,
    DirectoryOption,
    GatewayOption,
    KeyFileOption,
)

if TYPE_CHECKING:
    from qanat.rofl.deploying import Workers
    from shared.api.worker import InstanceStatus

WorkerOption = Annotated[
    list[str] | None, typer.Option("--worker", help="On this one alone; may be given again.")
]
PATIENCE_S = 60.0


def build(
    output: Annotated[
        Path | None, typer.Option("--output", help="Bundle; NAME.DEPLOYMENT.orc by default.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with manifest and chain; change nothing.")
    ] = False,
    no_update_manifest: Annotated[
        bool, typer.Option("--no-update-manifest", help="Leave the policy as it is.")
    ] = False,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Pack the app's files into a bundle, and note what its enclave is measured as."""
    from qanat.rofl.building import build as build_bundle
    from qanat.rofl.building import note_identity, verify_built
    from qanat.rofl.project import Project

    project = Project(directory, deployment)
    built = build_bundle(project, find_network(network, data, port_base), output)
    is_new = False
    if verify:
        verify_built(project, built, gateway)
    elif not no_update_manifest:
        is_new = note_identity(project, built)
    if as_json:
        facts = {"path": str(built.path), "bytes": len(built.bundle), "id": built.text}
        print(json.dumps(facts | {"is_new": is_new}))
        return
    out.print(escape(f"{built.path}: {len(built.bundle)} bytes, enclave {built.text}"))
    if is_new:
        out.print("Next: qanat rofl update, for the chain to accept it; then qanat rofl deploy")


def deploy(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    timeout: Annotated[
        float, typer.Option(help="How long to wait until it runs, in seconds.")
    ] = PATIENCE_S,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and do it again whenever a file changes.")
    ] = False,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the app and run it on every worker; returns when its instances run."""
    from qanat.rofl.building import build as build_bundle
    from qanat.rofl.building import verify_accepted
    from qanat.rofl.deploying import Workers, shown_instance
    from qanat.rofl.deploying import deploy as deploy_bundle
    from qanat.rofl.project import Project, Signer
    from qanat.rofl.reloading import reload_on_change
    from shared.rules.app_ids import decode_app_id

    def progress(line: str) -> None:
        err.print(escape(line))

    project = Project(directory, deployment)
    running = find_network(network, data, port_base)
    workers = Workers.of(running, worker or [])
    built = build_bundle(project, running)
    verify_accepted(project, built, gateway)
    app_id = decode_app_id(project.app_id)
    found = deploy_bundle(workers, app_id, built.bundle, timeout, progress)
    if as_json:
        print(json.dumps([shown_instance(name, status) for name, status in found.items()]))
    else:
        for name, status in found.items():
            out.print(f"{name}: runs {escape(status.name)} {status.version}")
    if watch:
        signer = Signer(gateway, account, key_file)
        reload_on_change(project, running, workers, signer, timeout, progress)


def undeploy(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """End the app's instances, and have workers forget it and all that it kept there."""
    app_id, workers = _find(directory, deployment, network, data, port_base, worker)
    removed = workers.each(lambda one: one.remove(app_id))
    if as_json:
        print(json.dumps([{"worker": name, "removed": True} for name in removed]))
        return
    for name in removed:
        out.print(f"{name}: removed")


def stop(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """End the app's instances; `start` runs them again."""
    app_id, workers = _find(directory, deployment, network, data, port_base, worker)
    _show(workers.each(lambda one: one.stop(app_id)), "stopped", as_json)


def start(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Run instances again that were stopped."""
    app_id, workers = _find(directory, deployment, network, data, port_base, worker)
    _show(workers.each(lambda one: one.start(app_id)), "starts", as_json)


def logs(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show the end of what the app's program wrote; workers keep it in plain."""
    app_id, workers = _find(directory, deployment, network, data, port_base, worker)
    found = workers.each(lambda one: one.fetch_logs(app_id))
    if as_json:
        texts = {name: text.decode(errors="replace") for name, text in found.items()}
        print(json.dumps([{"worker": name, "text": text} for name, text in texts.items()]))
        return
    for name, text in found.items():
        err.print(f"== {name}")
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def instances(
    worker: WorkerOption = None,
    directory: DirectoryOption = HERE,
    deployment: DeploymentOption = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show how the app is on each worker."""
    from qanat.rofl.deploying import fetch_instances, shown_instance

    app_id, workers = _find(directory, deployment, network, data, port_base, worker)
    found = fetch_instances(workers, app_id)
    if as_json:
        print(json.dumps([shown_instance(name, one) for name, one in found.items() if one]))
        return
    for name, one in found.items():
        state = "not deployed" if one is None else f"{one.state.value} {one.reason}".strip()
        out.print(f"{name}: {escape(state)}")


def _show(found: "dict[str, InstanceStatus]", what: str, as_json: bool) -> None:
    if as_json:
        from qanat.rofl.deploying import shown_instance

        print(json.dumps([shown_instance(name, one) for name, one in found.items()]))
        return
    for name in found:
        out.print(f"{name}: {what}")


def _find(
    directory: Path,
    deployment: str | None,
    network: Path,
    data: Path | None,
    port_base: int,
    names: list[str] | None,
) -> tuple[bytes, "Workers"]:
    from qanat.rofl.deploying import Workers
    from qanat.rofl.project import Project
    from shared.rules.app_ids import decode_app_id

    app_id = decode_app_id(Project(directory, deployment).app_id)
    return app_id, Workers.of(find_network(network, data, port_base), names or [])
