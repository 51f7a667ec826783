"""
The containers of an app, as its bundle has them: a bounded part of Compose, in one way to write it.

`qanat rofl build` makes it from the Compose file, so that no worker reads YAML. All of it is
measured with the bundle, and the images by their digests. What would lead out of the container's
box - the engine's or the machine's files, privileges, the machine's network - has no field here.
"""

import enum
from dataclasses import dataclass
from typing import Annotated

from shared.crypto.hashes import sha256
from shared.encoding.notes import AtMost, Between

MAX_SERVICES = 16
MAX_ITEMS = 64
"""Of a list of one service: mounts, ports, words of a command."""
MAX_VARIABLES = 256
MAX_TEXT = 4096
MAX_TEXTS = 256 * 1024
"""Of all commands and variables of an app together [characters]."""
DEFAULT_PIDS, MAX_PIDS = 256, 4096
MIN_MEMORY_MIB, MAX_MEMORY_MIB = 16, 65_536
MAX_STOP_S = 5
MAX_CPUS_MILLI = 255_000
MAX_PORT = 65_535
Text = Annotated[str, AtMost(MAX_TEXT)]
Words = Annotated[tuple[Text, ...], AtMost(MAX_ITEMS)]
PROJECT_PREFIX = "rofl-"
INSTANCE_LABEL = "io.qanat.instance"
"""On every container, network and volume of an instance: its project."""


class MountKind(enum.StrEnum):
    """What a container sees at a path."""

    VOLUME = "volume"
    """Storage of the app on this worker, by its name; kept until the app is removed there."""
    FILES = "files"
    """A file or folder of the bundle, read only; `.` is all of it."""
    DAEMON = "daemon"
    """The app daemon's socket."""


class Restart(enum.StrEnum):
    """When a container that has ended is started again."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Condition(enum.StrEnum):
    """What a service waits for in another one."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Mount:
    """One thing that a container sees from outside."""

    kind: MountKind
    source: Text
    """Name of a volume, or path in the bundle; empty for the daemon."""
    target: Text
    """Where it is in the container, absolute."""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port of a container, on the machine's loopback."""

    container: Annotated[int, Between(1, MAX_PORT)]
    machine: Annotated[int, Between(0, MAX_PORT)] = 0
    """0 takes a free one."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service that comes first."""

    service: Text
    condition: Condition


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How the engine sees whether a container is well."""

    test: Words
    """`CMD` and words, or `CMD-SHELL` and a line."""
    interval_s: Annotated[int, Between(1, 3_600)] = 30
    timeout_s: Annotated[int, Between(1, 3_600)] = 30
    retries: Annotated[int, Between(1, 100)] = 3
    start_period_s: Annotated[int, Between(0, 3_600)] = 0


@dataclass(frozen=True, slots=True)
class ContainerService:
    """A service: one container."""

    name: Text
    image: Text
    """`sha256:…`, an image's own id, or `NAME@sha256:…`, its digest in a registry."""
    memory_mib: Annotated[int, Between(MIN_MEMORY_MIB, MAX_MEMORY_MIB)]
    """What it may use, swap included [MiB]."""
    pids: Annotated[int, Between(1, MAX_PIDS)] = DEFAULT_PIDS
    cpus_milli: Annotated[int, Between(0, MAX_CPUS_MILLI)] = 0
    """Thousandths of a processor; 0 for all that there are."""
    entrypoint: Words | None = None
    """None is the image's, as for the command. Words are templates (`rules/templates.py`)."""
    command: Words | None = None
    environment: Annotated[dict[Text, Text], AtMost(MAX_VARIABLES)] | None = None
    """Values are templates."""
    mounts: Annotated[tuple[Mount, ...], AtMost(MAX_ITEMS)] = ()
    temporary: Words = ()
    """Paths that are in memory alone."""
    ports: Annotated[tuple[Port, ...], AtMost(MAX_ITEMS)] = ()
    depends_on: Annotated[tuple[Dependency, ...], AtMost(MAX_SERVICES)] = ()
    restart: Restart = Restart.NO
    health_check: HealthCheck | None = None
    user: Text | None = None
    working_dir: Text | None = None
    init: bool = False
    read_only: bool = False
    """Whether its own files are."""
    stop_s: Annotated[int, Between(0, MAX_STOP_S)] = 2
    """How long it may take to end after SIGTERM [s]."""


Services = Annotated[tuple[ContainerService, ...], AtMost(MAX_SERVICES)]


def project_name(directory: str) -> str:
    """
    Name of an instance's containers, networks and volumes in the engine, the only one of it.

    Parameters
    ----------
    directory : `str`
        Absolute path of the app's directory, by which one machine tells instances apart.
    """
    return PROJECT_PREFIX + sha256(directory.encode()).hex()[:20]
