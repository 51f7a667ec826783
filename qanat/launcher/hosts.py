"""The fork server of hosts, as the launcher starts it."""

import json
import os
from collections.abc import Sequence

from qanat.fork_spawn import ForkServer, spawn_fork_server
from qanat.layout import DataLayout
from qanat.network import NodePlan

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "DOCKER_HOST")
"""Variables that hosts have from whoever started the launcher."""


def is_of_tracing(name: str) -> bool:
    """Say whether a variable tells hosts what to trace: `QANAT_TRACE`, or OpenTelemetry's own."""
    return name == "QANAT_TRACE" or name.startswith("OTEL_")


def load_hosts(plans: Sequence[NodePlan], layout: DataLayout) -> ForkServer:
    """
    Start a process that loads what the hosts of a network run, while the caller goes on.

    Call it before a secret of the network is in memory or a thread runs: what it starts is a host.
    """
    hosts = [layout.host(plan.name) for plan in plans]
    if not layout.genesis.exists():
        for directory in (layout.public, *hosts):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.logs.mkdir(parents=True, exist_ok=True)
    settings = (
        str(layout.root.resolve()),
        str(layout.public),
        list(map(str, hosts)),
        sorted({plan.host_module for plan in plans}),
    )
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with (layout.logs / "hosts.log").open("ab") as output:
        return spawn_fork_server(
            ("-m", "qanat.launcher.host_server", json.dumps(settings)),
            environment | {"PYTHONUNBUFFERED": "1"},
            output=output.fileno(),
        )
