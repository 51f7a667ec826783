"""Which containers a bundle may have: a bounded part of Compose, all of it measured."""

from dataclasses import replace
from typing import Any

import pytest

from services.worker.rules.bundle import (
    AppManifest,
    Bundle,
    BundledFile,
    decode_bundle,
    encode_bundle,
)
from services.worker.rules.container_checks import BadContainers, order_of
from services.worker.rules.containers import (
    Condition,
    ContainerService,
    Dependency,
    HealthCheck,
    Mount,
    MountKind,
    Port,
    project_name,
)
from shared.encoding.record import encode_record

IMAGE = "sha256:" + "a" * 64
WEB = ContainerService("web", IMAGE, 64)
FILES = {"compose.yaml": b"", "app/main.py": b""}


def manifest(*services: ContainerService, memory_mib: int = 512) -> AppManifest:
    return AppManifest("app", "1", "compose.yaml", memory_mib, services)


def mounted(source: str, target: str, kind: MountKind, *, read_only: bool = True) -> Any:
    return {"mounts": (Mount(kind, source, target, read_only),)}


def test_containers_are_read_as_they_were_written_and_change_what_is_measured() -> None:
    full = replace(
        WEB,
        image="docker.io/library/python:3.11@" + IMAGE,
        environment={"TOKEN": "${TOKEN}"},
        mounts=(
            Mount(MountKind.DAEMON, "", "/run/rofl-appd.sock"),
            Mount(MountKind.FILES, "app", "/app", read_only=True),
            Mount(MountKind.FILES, ".", "/all", read_only=True),
            Mount(MountKind.VOLUME, "kept", "/kept"),
        ),
        ports=(Port(80, 8080),),
        health_check=HealthCheck(("CMD", "true")),
    )
    second = replace(WEB, name="db", depends_on=(Dependency("web", Condition.HEALTHY),))
    raw = encode_bundle(manifest(full, second), FILES)
    assert decode_bundle(raw).manifest.containers == (full, second)
    assert raw != encode_bundle(manifest(replace(full, pids=7), second), FILES)


def test_a_bundle_of_a_program_has_the_bytes_that_it_had() -> None:
    assert b"containers" not in encode_bundle(AppManifest("app", "1"), {"main.py": b""})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "We b"}, "its name"),
        ({"name": "../web"}, "its name"),
        ({"image": "python:3.11"}, "not pinned"),
        ({"image": "python:3.11@sha256:12"}, "not pinned"),
        ({"image": "-v/:/x@" + IMAGE}, "not pinned"),
        ({"user": "root;id"}, "user"),
        ({"working_dir": "app"}, "working_dir"),
        ({"ports": (Port(80, 22),)}, "begin at 1024"),
        ({"ports": (Port(80, 8080), Port(81, 8080))}, "published twice"),
        ({"memory_mib": 4096}, "4096 MiB together"),
        (mounted("/", "/host", MountKind.FILES), "no file of the app"),
        (mounted("/var/run/docker.sock", "/x", MountKind.FILES), "no file of the app"),
        (mounted("app/../..", "/x", MountKind.FILES), "no file of the app"),
        (mounted("ap", "/x", MountKind.FILES), "no file of the app"),
        (mounted("app", "/x", MountKind.FILES, read_only=False), "written to"),
        (mounted("/etc", "/x", MountKind.VOLUME), "volume"),
        (mounted("/var/run/docker.sock", "/x", MountKind.DAEMON), "one socket"),
        (mounted("app", "/proc/sys", MountKind.FILES), "mounted at"),
        (mounted("app", "/", MountKind.FILES), "mounted at"),
        (mounted("app", "/a/../proc", MountKind.FILES), "mounted at"),
        (mounted("app", "x", MountKind.FILES), "mounted at"),
        ({"temporary": ("/sys",)}, "mounted at"),
        ({"temporary": ("/x", "/x")}, "at one place"),
        ({"environment": {"A B": ""}}, "name of a variable"),
        ({"environment": {"A": "${"}}, "names no variable"),
        ({"command": ("a\0b",)}, "NUL"),
        ({"command": ("x" * 4096,) * 64, "entrypoint": ("x" * 4096,)}, "characters together"),
        ({"health_check": HealthCheck(("NONE",))}, "healthcheck"),
        ({"depends_on": (Dependency("web", Condition.STARTED),)}, "circle"),
        ({"depends_on": (Dependency("db", Condition.STARTED),)}, "no service"),
    ],
)
def test_what_reaches_out_of_the_box_is_refused_by_writer_and_reader(
    changes: dict[str, Any], fault: str
) -> None:
    described = manifest(replace(WEB, **changes))
    with pytest.raises(BadContainers, match=fault):
        encode_bundle(described, FILES)
    files = tuple(BundledFile(path, FILES[path]) for path in sorted(FILES))
    with pytest.raises(BadContainers, match=fault):
        decode_bundle(encode_record(Bundle(described, files)))


def test_an_app_has_services_each_of_its_name() -> None:
    for services in ((), (WEB, WEB), (WEB,) * 17):
        with pytest.raises(BadContainers, match="1 to 16"):
            encode_bundle(manifest(*services, memory_mib=4096), FILES)


def test_services_stand_behind_those_that_they_wait_for() -> None:
    last = replace(WEB, name="last", depends_on=(Dependency("web", Condition.STARTED),))
    assert [one.name for one in order_of((last, WEB))] == ["web", "last"]
    unhealthy = replace(last, depends_on=(Dependency("web", Condition.HEALTHY),))
    with pytest.raises(BadContainers, match="no healthcheck"):
        order_of((unhealthy, WEB))


def test_each_directory_has_a_project_of_its_own() -> None:
    assert project_name("/a/app") != project_name("/b/app")
    assert project_name("/a/app").startswith("rofl-")
