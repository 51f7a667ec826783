"""What the engine is asked for, and by which names images are fetched."""

from pathlib import Path

import pytest

from services.worker.enclave.engine import ENGINE, NoEngine, connect, container_options, without_tag
from services.worker.rules.containers import (
    ContainerService,
    HealthCheck,
    Mount,
    MountKind,
    Port,
)
from services.worker.rules.templates import VariableMissing

DIGEST = "sha256:" + "a" * 64
WEB = ContainerService(
    "web_1.a",
    f"docker.io/library/python:3.11@{DIGEST}",
    64,
    command=("run", "${TOKEN}"),
    environment={"TOKEN": "${TOKEN:?it is needed}", "PRICE": "1$$"},
    mounts=(
        Mount(MountKind.DAEMON, "", "/run/rofl-appd.sock"),
        Mount(MountKind.FILES, ".", "/all", read_only=True),
        Mount(MountKind.FILES, "app", "/app", read_only=True),
        Mount(MountKind.VOLUME, "kept", "/kept"),
    ),
    temporary=("/scratch",),
    ports=(Port(80, 8080), Port(81)),
    health_check=HealthCheck(("CMD", "true"), interval_s=2),
)


def test_a_container_gets_its_own_and_nothing_of_the_machine() -> None:
    code, socket = Path("/data/app/code"), Path("/data/app/appd.sock")
    options = container_options(WEB, "rofl-x", code, socket, {"TOKEN": "s3cret", "OTHER": "no"})
    assert options["environment"] == {"TOKEN": "s3cret", "PRICE": "1$"}
    assert options["command"] == ["run", "s3cret"]
    assert [(one["Type"], one["Source"], one["ReadOnly"]) for one in options["mounts"]] == [
        ("bind", "/data/app/appd.sock", False),
        ("bind", "/data/app/code", True),
        ("bind", "/data/app/code/app", True),
        ("volume", "rofl-x_kept", False),
    ]
    assert options["ports"] == {"80/tcp": ("127.0.0.1", 8080), "81/tcp": ("127.0.0.1", 0)}
    assert options["mem_limit"] == options["memswap_limit"] == "64m"
    assert options["security_opt"] == ["no-new-privileges:true"]
    assert options["log_config"] == {"Type": "none"}
    assert options["healthcheck"]["interval"] == 2 * 10**9
    assert options["hostname"] == "web-1-a"
    assert not {"privileged", "network_mode", "restart_policy", "devices", "cap_add"} & set(options)


def test_a_secret_that_is_insisted_on_must_be_there() -> None:
    with pytest.raises(VariableMissing, match="it is needed"):
        container_options(WEB, "rofl-x", Path("/a"), Path("/b"), {})


@pytest.mark.parametrize(
    ("image", "fetched"),
    [
        (DIGEST, DIGEST),
        (f"python@{DIGEST}", f"python@{DIGEST}"),
        (f"python:3.11@{DIGEST}", f"python@{DIGEST}"),
        (f"localhost:5000/a/b:1@{DIGEST}", f"localhost:5000/a/b@{DIGEST}"),
        (f"localhost:5000/a/b@{DIGEST}", f"localhost:5000/a/b@{DIGEST}"),
    ],
)
def test_a_tag_beside_a_digest_says_nothing(image: str, fetched: str) -> None:
    assert without_tag(image) == fetched


@pytest.mark.enable_socket
def test_a_machine_without_an_engine_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(ENGINE, f"unix://{tmp_path}/none.sock")
    with pytest.raises(NoEngine, match="start Docker"):
        connect()
