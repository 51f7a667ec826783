"""What containers of an app must be, so that a worker runs them."""

import re
from collections.abc import Collection, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from services.worker.rules.containers import (
    MAX_SERVICES,
    MAX_TEXTS,
    Condition,
    ContainerService,
    Mount,
    MountKind,
)
from services.worker.rules.templates import NAME as VARIABLE
from services.worker.rules.templates import BadTemplate, verify_template
from shared.errors import Rejected

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
IMAGE = re.compile(r"([a-z0-9][A-Za-z0-9._/:-]{0,255}@)?sha256:[0-9a-f]{64}")
_USER = re.compile(r"[A-Za-z0-9_.-]{1,32}(:[A-Za-z0-9_.-]{1,32})?")
_TARGET = re.compile(r"(/[A-Za-z0-9_.+@-]+)+")
_VARIABLE = re.compile(VARIABLE)
FIRST_OPEN_PORT = 1024
OF_THE_KERNEL = ("/dev", "/proc", "/sys")
"""What a container has there is the engine's to say."""
TESTS = ("CMD", "CMD-SHELL")


class BadContainers(Rejected, module="bundle", code=3):
    """These are no containers that a worker runs."""


def verify_containers(
    services: Sequence[ContainerService], *, memory_mib: int, paths: Collection[str]
) -> None:
    """
    Verify the containers of an app, or raise `BadContainers`, which says the service and why.

    Parameters
    ----------
    services : `Sequence`
        In any order; fields are within the bounds of their types.
    memory_mib : `int`
        What all of them together may use [MiB].
    paths : `Collection`
        Files of the bundle.
    """
    names = [one.name for one in services]
    if not 1 <= len(names) <= MAX_SERVICES or len(set(names)) != len(names):
        raise BadContainers(f"an app has 1 to {MAX_SERVICES} services, each of its own name")
    for service in services:
        for fault in _faults_of(service, paths):
            raise BadContainers(f"service {service.name[:80]!r}: {fault}")
    if sum(map(_length_of_texts, services)) > MAX_TEXTS:
        raise BadContainers(f"commands and variables have over {MAX_TEXTS} characters together")
    total_mib = sum(one.memory_mib for one in services)
    if total_mib > memory_mib:
        raise BadContainers(
            f"services may use {total_mib} MiB together, and the app has {memory_mib}"
        )
    ports = [port.machine for one in services for port in one.ports if port.machine]
    if len(set(ports)) != len(ports):
        raise BadContainers("a port of the machine is published twice")
    order_of(services)


def order_of(services: Sequence[ContainerService]) -> tuple[ContainerService, ...]:
    """Put services behind those that they wait for, or raise `BadContainers`."""
    known = {one.name: one for one in services}
    waits: dict[str, list[str]] = {}
    for one in services:
        waits[one.name] = [each.service for each in one.depends_on]
        for each in one.depends_on:
            other = known.get(each.service)
            if other is None:
                raise BadContainers(f"service {one.name!r} depends on no service of the file")
            if each.condition is Condition.HEALTHY and other.health_check is None:
                raise BadContainers(
                    f"service {one.name!r} waits for {other.name!r} to be healthy, "
                    "which has no healthcheck"
                )
    try:
        return tuple(known[name] for name in TopologicalSorter(waits).static_order())
    except CycleError as error:
        raise BadContainers("services depend on each other in a circle") from error


def _faults_of(service: ContainerService, paths: Collection[str]) -> Iterator[str]:
    if not _NAME.fullmatch(service.name):
        yield "its name must be small letters, digits and `._-`"
    if not IMAGE.fullmatch(service.image):
        yield (
            f"image {service.image[:120]!r} is not pinned: what is measured must say which one, by "
            "`NAME@sha256:DIGEST`, or by the `sha256:ID` of an image that is on the worker"
        )
    if service.user is not None and not _USER.fullmatch(service.user):
        yield "user must be a name or number, or two with a colon"
    if service.working_dir is not None and not _is_place(service.working_dir):
        yield "working_dir must be an absolute path"
    targets = [mount.target for mount in service.mounts] + list(service.temporary)
    for target in targets:
        if not _is_place(target) or _is_of_the_kernel(target):
            yield f"nothing can be mounted at {target[:120]!r}"
    if len(set(targets)) != len(targets):
        yield "two mounts are at one place"
    for mount in service.mounts:
        yield from _faults_of_mount(mount, paths)
    for port in service.ports:
        if port.machine and port.machine < FIRST_OPEN_PORT:
            yield f"ports of the machine begin at {FIRST_OPEN_PORT}"
    yield from _faults_of_texts(service)


def _faults_of_mount(mount: Mount, paths: Collection[str]) -> Iterator[str]:
    match mount.kind:
        case MountKind.VOLUME:
            if not _NAME.fullmatch(mount.source):
                yield f"volume {mount.source[:80]!r} must be small letters, digits and `._-`"
        case MountKind.FILES:
            is_there = mount.source == "." or any(
                path == mount.source or path.startswith(mount.source + "/") for path in paths
            )
            if not is_there or not mount.read_only:
                yield f"{mount.source[:120]!r} is no file of the app, or is to be written to"
        case MountKind.DAEMON:
            if mount.source:
                yield "the daemon has one socket"


def _faults_of_texts(service: ContainerService) -> Iterator[str]:
    environment = service.environment or {}
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            yield f"{name[:80]!r} is no name of a variable"
    words = chain(service.entrypoint or (), service.command or (), environment.values())
    check = service.health_check
    if check is not None and (len(check.test) < 2 or check.test[0] not in TESTS):
        yield "the test of a healthcheck is CMD and words, or CMD-SHELL and a line"
    for text in words:
        try:
            verify_template(text)
        except BadTemplate as error:
            yield error.message
        if "\0" in text:
            yield "a text has a NUL"
    if check is not None and any("\0" in text for text in check.test):
        yield "a text has a NUL"


def _length_of_texts(service: ContainerService) -> int:
    environment = service.environment or {}
    words = (service.entrypoint or (), service.command or (), environment, environment.values())
    return sum(len(text) for text in chain(*words))


def _is_place(path: str) -> bool:
    return bool(_TARGET.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def _is_of_the_kernel(path: str) -> bool:
    return any(path == one or path.startswith(one + "/") for one in OF_THE_KERNEL)
