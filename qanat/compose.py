"""Looks at a network that Docker Compose runs. The Compose file labels each container."""

import io
import shutil
import tarfile
from typing import Any

from qanat.launcher.state import ProcessRecord
from shared.kit.dev_controls import TOKEN_FILE

NODE_LABEL = "io.qanat.node"
SERVICE_LABEL = "io.qanat.service"
RUNTIMES_LABEL = "io.qanat.runtimes"
"""Names of the ParaTimes, or of the key manager, that the node serves, with commas."""
PROJECT_LABEL = "com.docker.compose.project"
"""Compose's own."""
TIMEOUT_S = 30


def list_container_processes(project: str) -> tuple[ProcessRecord, ...]:
    """Give host and enclave of each running container; empty without Docker or containers."""
    records = [record for one in find_containers(project) for record in _records_of(one)]
    return tuple(sorted(records, key=lambda record: (record.name, record.part != "host")))


def read_container_token(project: str) -> str | None:
    """Read the token of dev controls from a node's volume; None where there is none."""
    for container in find_containers(project):
        found = _read_file(container, f"{container.labels[NODE_LABEL]}/host/{TOKEN_FILE}")
        if found is not None:
            return found.decode().strip() or None
    return None


def read_container_file(project: str, node: str, path: str) -> bytes | None:
    """Read a file of a node's volume, by its path in the data directory; None where it is not."""
    for container in find_containers(project):
        if container.labels[NODE_LABEL] == node:
            return _read_file(container, path)
    return None


def _read_file(container: Any, path: str) -> bytes | None:
    from docker.errors import DockerException

    try:
        stream, _ = container.get_archive(f"/network/{path}")
    except DockerException:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        found = archive.extractfile(path.rpartition("/")[2])
        return None if found is None else found.read()


def run_in_container(project: str, *command: str) -> bytes:
    """Run a command in a container, all of which have one image; what it printed or said wrong."""
    from docker.errors import DockerException

    printed = b""
    for container in find_containers(project)[:1]:
        try:
            printed = container.exec_run(list(command)).output
        except DockerException as error:
            return str(error).encode()
    return printed


def find_containers(project: str, *, is_stopped_too: bool = False) -> list[Any]:
    """
    Give the containers of one network.

    `project` is its name for Compose (`project_of`). Where it is not there, but one other is, then
    somebody gave the network another name.
    """
    if shutil.which("docker") is None:
        # The engine may be elsewhere, but a person with containers of ours has the tool.
        return []
    # Imported only here: it takes a quarter of a second, and most commands need no containers.
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=TIMEOUT_S)
        found: list[Any] = client.containers.list(all=is_stopped_too, filters={"label": NODE_LABEL})
    except DockerException:
        return []
    projects = {one.labels.get(PROJECT_LABEL) for one in found}
    if project not in projects:
        return found if len(projects) == 1 else []
    return [one for one in found if one.labels.get(PROJECT_LABEL) == project]


def _records_of(container: Any) -> list[ProcessRecord]:
    labels, attributes = container.labels, container.attrs
    name, service = labels[NODE_LABEL], labels[SERVICE_LABEL]
    served = labels.get(RUNTIMES_LABEL, "")
    published = attributes["NetworkSettings"]["Ports"] or {}
    ports = sorted(
        {int(binding["HostPort"]) for bindings in published.values() for binding in bindings or ()}
    )
    records = []
    for pid, command in container.top(ps_args="-eo pid,args")["Processes"]:
        if f"services.{service}" not in command:
            continue
        part = "enclave" if f"services.{service}.enclave" in command else "host"
        # An enclave's last argument is the runtime that it serves.
        runtime = command.rsplit(" ", 1)[-1] if part == "enclave" else served
        records.append(
            ProcessRecord(
                name=name,
                service=service,
                part=part,
                pid=int(pid),
                container=container.name,
                ports=tuple(ports) if part == "host" else (),
                data_dir=f"/network/{name}/{f'enclave/{runtime}' if part == 'enclave' else part}",
                state=attributes["State"]["Status"],
                restarts=attributes["RestartCount"],
                paratime=runtime if service in ("compute", "gateway") else None,
            )
        )
    return records
