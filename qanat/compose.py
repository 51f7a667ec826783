"""Looks at a network that Docker Compose runs. The Compose file labels each container."""

import json
import shutil
import subprocess
from typing import Any

from qanat.launcher.state import ProcessRecord

NODE_LABEL = "io.qanat.node"
SERVICE_LABEL = "io.qanat.service"
RUNTIMES_LABEL = "io.qanat.runtimes"
"""Names of the ParaTimes, or of the key manager, that the node serves, with commas."""


def list_container_processes() -> tuple[ProcessRecord, ...]:
    """Give host and enclave of each running container; empty without Docker or containers."""
    if shutil.which("docker") is None:
        return ()
    ids = _docker("ps", "--quiet", "--filter", f"label={NODE_LABEL}").split()
    if not ids:
        return ()
    containers: list[dict[str, Any]] = json.loads(_docker("inspect", *ids) or "[]")
    records = [record for one in containers for record in _records_of(one)]
    return tuple(sorted(records, key=lambda record: (record.name, record.part != "host")))


def _records_of(container: dict[str, Any]) -> list[ProcessRecord]:
    labels, state = container["Config"]["Labels"], container["State"]
    name, service = labels[NODE_LABEL], labels[SERVICE_LABEL]
    served = labels.get(RUNTIMES_LABEL, "")
    published = container["NetworkSettings"]["Ports"] or {}
    ports = sorted(
        {int(binding["HostPort"]) for bindings in published.values() for binding in bindings or ()}
    )
    listing = _docker("top", container["Id"], "-eo", "pid,args").splitlines()[1:]
    records = []
    for line in listing:
        pid, _, command = line.strip().partition(" ")
        if f"services.{service}" not in command:
            continue
        part = "enclave" if f"services.{service}.enclave" in command else "host"
        records.append(
            ProcessRecord(
                name=name,
                service=service,
                part=part,
                pid=int(pid),
                container=container["Name"].removeprefix("/"),
                ports=tuple(ports) if part == "host" else (),
                data_dir=f"/network/{name}/{f'enclave/{served}' if part == 'enclave' else part}",
                state=state["Status"],
                restarts=container["RestartCount"],
                paratime=served if service in ("compute", "gateway") else None,
            )
        )
    return records


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout if done.returncode == 0 else ""
