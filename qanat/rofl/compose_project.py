"""
Reads an app's Compose file: the part of Compose that workers run, as a bundle has it.

Source: compose-spec `05-services.md`. Differs: images are pinned; what would reach out of the app's
box is refused, as is all that is not understood; each service has a limit of memory; ports are on
loopback. `docs/rofl.md` has the list.
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from services.worker.rules.containers import (
    DEFAULT_PIDS,
    MIN_MEMORY_MIB,
    Condition,
    ContainerService,
    Dependency,
    HealthCheck,
    Mount,
    MountKind,
    Port,
    Restart,
)
from shared.encoding.values import from_wire, to_wire
from shared.errors import Rejected

MAX_BYTES = 256 * 1024
MIB = 1 << 20
SOCKETS = frozenset(
    f"{run}/{name}.sock" for run in ("/run", "/var/run") for name in ("rofl-appd", "dstack")
)
"""Where upstream's machines have the daemon's socket, in its two dialects."""
NOT_RUN = "is no part of Compose that workers run: docs/rofl.md has what is"
Scalar = StrictStr | StrictInt | StrictFloat
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_SIZE = re.compile(r"(\d+)\s*([bkmg]?)b?")
_PORT = re.compile(r"(?:(?:127\.0\.0\.1:)?(?P<machine>\d{1,5})?:)?(?P<container>\d{1,5})(?:/tcp)?")
_VOLUME = re.compile(r"(?P<source>[^:]+):(?P<target>[^:]+)(?::(?P<mode>ro|rw))?")


class BadCompose(Rejected, module="rofl_cli", code=13):
    """The Compose file is none, or asks for what workers do not run."""


def _seconds(text: object) -> int:
    found = _DURATION.fullmatch(text) if isinstance(text, str) and text else None
    if found is None:
        raise ValueError("is no duration such as 30s or 1m30s")
    hours, minutes, seconds, rest_ms = (float(part or 0) for part in found.groups())
    return math.ceil(3600 * hours + 60 * minutes + seconds + rest_ms / 1000)


def _mebibytes(size: object) -> int:
    found = _SIZE.fullmatch(str(size).lower())
    if found is None or isinstance(size, bool):
        raise ValueError("is no size such as 64m or 1g")
    return int(found[1]) * {"": 1, "b": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30}[found[2]] // MIB


def _milli(cpus: object) -> int:
    try:
        return round(1000 * float(str(cpus)))
    except (ValueError, OverflowError):
        raise ValueError("is no number of processors") from None


def _words(written: object) -> object:
    # As a shell parts them, but no shell runs them.
    return shlex.split(written) if isinstance(written, str) else written


Duration = Annotated[int, BeforeValidator(_seconds)]
Size = Annotated[int, BeforeValidator(_mebibytes)]
Cpus = Annotated[int, BeforeValidator(_milli)]
Words = Annotated[list[StrictStr], BeforeValidator(_words)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _LongMount(_Section):
    type: Literal["bind", "volume"]
    source: str
    target: str
    read_only: bool = False


class _Waits(_Section):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = (
        "service_started"
    )


class _HealthCheck(_Section):
    test: StrictStr | list[StrictStr]
    interval: Duration = 30
    timeout: Duration = 30
    retries: int = 3
    start_period: Duration = 0

    def record(self) -> HealthCheck:
        test = ["CMD-SHELL", self.test] if isinstance(self.test, str) else self.test
        return HealthCheck(
            tuple(test), self.interval, self.timeout, self.retries, self.start_period
        )


class _Limits(_Section):
    cpus: Cpus | None = None
    memory: Size | None = None
    pids: int | None = None


class _Resources(_Section):
    limits: _Limits = _Limits()


class _Deploy(_Section):
    resources: _Resources = _Resources()


class _Service(_Section):
    image: str
    command: Words | None = None
    entrypoint: Words | None = None
    environment: dict[str, Scalar | None] | list[StrictStr] = Field(default_factory=dict)
    volumes: list[StrictStr | _LongMount] = Field(default_factory=list)
    tmpfs: StrictStr | list[StrictStr] = Field(default_factory=list)
    ports: list[StrictStr | StrictInt] = Field(default_factory=list)
    depends_on: list[StrictStr] | dict[str, _Waits] = Field(default_factory=list)
    restart: StrictStr | Literal[False] = "no"
    healthcheck: _HealthCheck | None = None
    user: StrictStr | StrictInt | None = None
    working_dir: str | None = None
    init: bool = False
    read_only: bool = False
    stop_grace_period: Duration = 2
    mem_limit: Size | None = None
    cpus: Cpus | None = None
    pids_limit: int | None = None
    deploy: _Deploy = _Deploy()
    platform: Literal["linux/amd64", "linux/arm64"] | None = None
    """Not looked at: the digest of the image says it."""

    @property
    def memory_mib(self) -> int | None:
        return self.mem_limit or self.deploy.resources.limits.memory


class _File(_Section):
    services: dict[str, _Service]
    volumes: dict[str, dict[str, None] | None] = Field(default_factory=dict)
    name: str | None = None
    version: Scalar | None = None


def read_compose_file(path: Path, *, memory_mib: int) -> tuple[ContainerService, ...]:
    """As `read_compose`, from a file, which may not be there."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadCompose(f"{path} has over {MAX_BYTES} bytes")
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadCompose(f"the Compose file cannot be read: {error}") from None
    return read_compose(text, memory_mib=memory_mib)


def read_compose(text: str, *, memory_mib: int) -> tuple[ContainerService, ...]:
    """
    Read a Compose file.

    Parameters
    ----------
    text : `str`
        The file.
    memory_mib : `int`
        What the app may use; services that say nothing share what others leave [MiB].

    Raises
    ------
    BadCompose
        It is none, or has what workers do not run; says where.
    """
    try:
        raw = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadCompose(f"the Compose file is no YAML: {error}") from None
    if isinstance(raw, dict):
        raw = {name: value for name, value in raw.items() if not str(name).startswith("x-")}
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        raise BadCompose(_told(error)) from None
    left_mib = memory_mib - sum(one.memory_mib or 0 for one in file.services.values())
    sharing = sum(one.memory_mib is None for one in file.services.values())
    share_mib = left_mib // sharing if sharing else 0
    if sharing and share_mib < MIN_MEMORY_MIB:
        raise BadCompose(
            f"{memory_mib} MiB of the app leave {max(share_mib, 0)} for each service without a "
            f"limit, which needs {MIN_MEMORY_MIB}: see `resources.memory` of rofl.yaml"
        )
    services = []
    for name, one in file.services.items():
        try:
            made = _record(name, one, share_mib, file.volumes)
            # What is out of a field's bounds is no record.
            services.append(from_wire(ContainerService, to_wire(ContainerService, made)))
        except (ValueError, Rejected) as error:
            raise BadCompose(f"services.{name}: {error}") from None
    return tuple(services)


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the Compose file"
    return f"{place}: {NOT_RUN if first['type'] == 'extra_forbidden' else first['msg']}"


def _record(
    name: str, written: _Service, share_mib: int, volumes: Mapping[str, object]
) -> ContainerService:
    limits = written.deploy.resources.limits
    memory_mib = written.memory_mib or share_mib
    if memory_mib < MIN_MEMORY_MIB:
        raise ValueError(f"a container needs {MIN_MEMORY_MIB} MiB")
    waits = written.depends_on
    check = written.healthcheck
    return ContainerService(
        name=name,
        image=written.image,
        memory_mib=memory_mib,
        pids=written.pids_limit or limits.pids or DEFAULT_PIDS,
        cpus_milli=written.cpus or limits.cpus or 0,
        entrypoint=None if written.entrypoint is None else tuple(written.entrypoint),
        command=None if written.command is None else tuple(written.command),
        environment=dict(_variables(written.environment)) or None,
        mounts=tuple(_mount(one, volumes) for one in written.volumes),
        temporary=(written.tmpfs,) if isinstance(written.tmpfs, str) else tuple(written.tmpfs),
        ports=tuple(_port(one) for one in written.ports),
        depends_on=tuple(
            Dependency(one, Condition.STARTED)
            if isinstance(waits, list)
            else Dependency(one, Condition(waits[one].condition))
            for one in waits
        ),
        restart=_restart(written.restart),
        health_check=None if check is None else check.record(),
        user=None if written.user is None else str(written.user),
        working_dir=written.working_dir,
        init=written.init,
        read_only=written.read_only,
        stop_s=written.stop_grace_period,
    )


def _variables(
    written: Mapping[str, Scalar | None] | list[str],
) -> Iterator[tuple[str, str]]:
    pairs = (
        written.items()
        if isinstance(written, Mapping)
        else (
            (name, value if equals else None)
            for name, equals, value in (one.partition("=") for one in written)
        )
    )
    for name, value in pairs:
        # A name alone is handed on.
        yield name, f"${{{name}}}" if value is None else str(value)


def _restart(written: str | Literal[False]) -> Restart:
    if written is False:
        return Restart.NO
    # Nobody stops a container but its worker, so these two are the same here.
    return Restart("always" if written == "unless-stopped" else written)


def _port(written: str | int) -> Port:
    found = _PORT.fullmatch(str(written))
    if found is None:
        raise ValueError(f"port {written!r} must be `PORT`, or `PORT:PORT` on loopback, and TCP")
    return Port(int(found["container"]), int(found["machine"] or 0))


def _mount(written: str | _LongMount, volumes: Mapping[str, object]) -> Mount:
    if isinstance(written, str):
        found = _VOLUME.fullmatch(written)
        if found is None:
            raise ValueError(f"volume {written!r} must be `SOURCE:TARGET` or `SOURCE:TARGET:ro`")
        source, target, read_only = found["source"], found["target"], found["mode"] == "ro"
    else:
        source, target, read_only = written.source, written.target, written.read_only
    target = target.rstrip("/")
    if source in SOCKETS:
        return Mount(MountKind.DAEMON, "", target)
    if source.startswith("."):
        return Mount(MountKind.FILES, str(PurePosixPath(source)), target, read_only=True)
    if source in volumes:
        return Mount(MountKind.VOLUME, source, target, read_only)
    raise ValueError(
        f"{source!r} is no volume of the file, no `./PATH` of the app, and not the app daemon's "
        "socket; nothing else of the machine is shown to a container"
    )
