"""
The container engine of a worker's machine: what is asked of it, and what an app's container gets.

The engine stands for what runs containers inside a trust domain upstream; here it is the machine's
own, so it is no wall between an app and whoever owns the machine (ADR 0068). Docker's SDK is
imported late: most enclaves have no containers.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.worker.rules.containers import (
    INSTANCE_LABEL,
    ContainerService,
    HealthCheck,
    Mount,
    MountKind,
)
from services.worker.rules.templates import fill_template
from shared.errors import Unavailable

ENGINE = "DOCKER_HOST"
"""Variable with the engine's address, where it is not the usual socket."""
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
TIMEOUT_S = 30
"""How long the engine may take to answer [s]; pulling an image answers all the while."""
GIVEN_UP = ("AUDIT_WRITE", "MKNOD", "NET_RAW")
"""Of what the engine lets a container's root do: no app needs these."""
CPU_SHARES = 102
"""Of 1,024: as an app's program, a tenth of what others get where both want a CPU."""
MILLI, NANO = 10**6, 10**9
"""Thousandths and seconds, in the engine's units."""


class NoEngine(Unavailable, module="worker", code=8):
    """No container engine answers on the worker's machine, or not as it should."""


class ImageMissing(Unavailable, module="worker", code=9):
    """An image that is named by its id is not on the worker's machine."""


def connect() -> Any:
    """
    Give a client of the machine's engine, or raise `NoEngine`.

    It is one of this machine, by a Unix socket: containers see sockets and files of it.
    """
    import docker
    from docker.errors import DockerException

    address = os.environ.get(ENGINE, DEFAULT_ENGINE)
    try:
        # The SDK leaves a socket behind that reaches nothing.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(TIMEOUT_S)
            probe.connect(address.removeprefix("unix://"))
        return docker.DockerClient(base_url=address, timeout=TIMEOUT_S)
    except (DockerException, OSError) as error:
        raise NoEngine(
            f"this app is one of containers, and no engine answers at {address}: start Docker on "
            f"the worker's machine; workers that are containers themselves have none ({error})"
        ) from error


def verify_images(engine: Any, services: Sequence[ContainerService]) -> None:
    """Raise `ImageMissing` where the engine lacks an image that no registry has by this name."""
    from docker.errors import ImageNotFound

    for service in services:
        if "@" not in service.image:
            try:
                engine.images.get(service.image)
            except ImageNotFound as error:
                raise ImageMissing(
                    f"service {service.name!r}: no image {service.image} is on this machine: build "
                    "or load it, or name one of a registry by `NAME@sha256:DIGEST`"
                ) from error


def fetch_image(engine: Any, image: str) -> None:
    """Have the engine get an image from its registry, unless it has it."""
    from docker.errors import ImageNotFound

    reference = without_tag(image)
    try:
        engine.images.get(reference)
    except ImageNotFound:
        if "@" not in reference:
            raise
        engine.images.pull(reference)


def without_tag(image: str) -> str:
    """Give an image's name without the tag, which a digest makes needless."""
    name, at, digest = image.rpartition("@")
    place, slash, last = name.rpartition("/")
    return f"{place}{slash}{last.partition(':')[0]}{at}{digest}"


def clear_instance(engine: Any, project: str, *, forgets: bool = False) -> None:
    """Remove an instance's containers and networks, and what it keeps where it is forgotten."""
    from docker.errors import NotFound

    def all_of(kind: Any, **options: Any) -> Iterator[Any]:
        yield from kind.list(filters={"label": f"{INSTANCE_LABEL}={project}"}, **options)

    def remove(one: Any, **options: Any) -> None:
        try:
            one.remove(**options)
        except NotFound:
            return

    for container in all_of(engine.containers, all=True, ignore_removed=True):
        # With the volumes that its image declares, which have no name.
        remove(container, force=True, v=True)
    for network in all_of(engine.networks):
        remove(network)
    for volume in all_of(engine.volumes) if forgets else ():
        remove(volume, force=True)


def container_options(
    service: ContainerService,
    project: str,
    directory: Path,
    daemon: Path,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """
    Say how the engine is to make a service's container, but for its network.

    Parameters
    ----------
    service : `ContainerService`
        As measured.
    project : `str`
        The instance's name in the engine.
    directory, daemon : `Path`
        Where the app's files and its daemon's socket are, absolute.
    variables : `Mapping`
        Secrets of the app, for the places that name them.

    Raises
    ------
    VariableMissing
        A text insists on a secret that is not there.
    """

    def fill(words: Sequence[str] | None) -> list[str] | None:
        return None if words is None else [fill_template(one, variables) for one in words]

    options: dict[str, Any] = {
        "image": without_tag(service.image),
        "command": fill(service.command),
        "entrypoint": fill(service.entrypoint),
        "environment": {
            name: fill_template(text, variables)
            for name, text in (service.environment or {}).items()
        },
        "name": f"{project}-{service.name}",
        "hostname": service.name.replace("_", "-").replace(".", "-"),
        "labels": labels_of(project, service.name),
        "mounts": [_mount(one, project, directory, daemon) for one in service.mounts],
        "tmpfs": dict.fromkeys(service.temporary, "rw,nosuid,nodev"),
        "ports": {f"{one.container}/tcp": ("127.0.0.1", one.machine) for one in service.ports},
        "user": service.user,
        "working_dir": service.working_dir,
        "init": service.init,
        "read_only": service.read_only,
        "mem_limit": f"{service.memory_mib}m",
        "memswap_limit": f"{service.memory_mib}m",
        "pids_limit": service.pids,
        "nano_cpus": service.cpus_milli * MILLI,
        "cpu_shares": CPU_SHARES,
        "cap_drop": list(GIVEN_UP),
        "security_opt": ["no-new-privileges:true"],
        # The enclave keeps what is written; a disk has none of it.
        "log_config": {"Type": "none"},
    }
    if service.health_check is not None:
        options["healthcheck"] = _health_check(service.health_check)
    return {name: value for name, value in options.items() if value is not None}


def labels_of(project: str, service: str | None = None) -> dict[str, str]:
    """Labels by which we find what is an instance's, and Docker Compose shows it."""
    labels = {INSTANCE_LABEL: project, "com.docker.compose.project": project}
    if service is not None:
        labels |= {"com.docker.compose.service": service, "com.docker.compose.oneoff": "False"}
        labels |= {"com.docker.compose.container-number": "1"}
    return labels


def volume_name(project: str, name: str) -> str:
    """Name of an instance's volume in the engine."""
    return f"{project}_{name}"


def _mount(mount: Mount, project: str, directory: Path, daemon: Path) -> dict[str, Any]:
    source, kind = str(daemon), "bind"
    if mount.kind is MountKind.VOLUME:
        source, kind = volume_name(project, mount.source), "volume"
    elif mount.kind is MountKind.FILES:
        source = str(directory if mount.source == "." else directory / mount.source)
    return {
        "Target": mount.target,
        "Source": source,
        "Type": kind,
        "ReadOnly": mount.read_only,
    }


def _health_check(check: HealthCheck) -> dict[str, Any]:
    return {
        "test": list(check.test),
        "interval": check.interval_s * NANO,
        "timeout": check.timeout_s * NANO,
        "retries": check.retries,
        "start_period": check.start_period_s * NANO,
    }
