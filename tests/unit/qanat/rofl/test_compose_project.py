"""A Compose file as the containers of a bundle, or a refusal that names the place."""

from pathlib import Path

import pytest

from qanat.rofl.compose_project import BadCompose, read_compose, read_compose_file
from services.worker.rules.containers import (
    Condition,
    Dependency,
    HealthCheck,
    Mount,
    MountKind,
    Port,
    Restart,
)

IMAGE = "sha256:" + "a" * 64
WHOLE = f"""
name: oracle
x-common: &common {{image: "{IMAGE}", restart: unless-stopped}}
services:
  web:
    <<: *common
    platform: linux/amd64
    command: python /app/main.py --say "two words"
    environment: [TOKEN, A=1, "B=${{C:-d}}"]
    volumes:
      - ./:/app:ro
      - ./app/:/app2
      - /run/rofl-appd.sock:/run/rofl-appd.sock
      - /var/run/dstack.sock:/var/run/dstack.sock
      - kept:/kept
      - {{type: bind, source: ./app, target: /app3}}
    ports: [8080, "9000:80", "127.0.0.1:9001:81/tcp"]
    depends_on: {{db: {{condition: service_healthy}}, migrate: {{}}}}
    deploy: {{resources: {{limits: {{cpus: "0.5", memory: 64M, pids: 7}}}}}}
  db:
    <<: *common
    entrypoint: ["/bin/db", "-x"]
    environment: {{PORT: 5432, EMPTY: "", FROM_APP: }}
    healthcheck: {{test: "true", interval: 1m30s, timeout: 500ms}}
    tmpfs: /tmp
    user: 1000
    stop_grace_period: 5s
  migrate:
    image: "{IMAGE}"
    restart: no
    depends_on: [db]
volumes:
  kept:
"""


def test_a_file_becomes_what_a_bundle_has() -> None:
    web, db, migrate = read_compose(WHOLE, memory_mib=512)
    assert web.command == ("python", "/app/main.py", "--say", "two words")
    assert web.environment == {"TOKEN": "${TOKEN}", "A": "1", "B": "${C:-d}"}
    assert web.mounts == (
        Mount(MountKind.FILES, ".", "/app", read_only=True),
        Mount(MountKind.FILES, "app", "/app2", read_only=True),
        Mount(MountKind.DAEMON, "", "/run/rofl-appd.sock"),
        Mount(MountKind.DAEMON, "", "/var/run/dstack.sock"),
        Mount(MountKind.VOLUME, "kept", "/kept"),
        Mount(MountKind.FILES, "app", "/app3", read_only=True),
    )
    assert web.ports == (Port(8080), Port(80, 9000), Port(81, 9001))
    assert web.depends_on == (
        Dependency("db", Condition.HEALTHY),
        Dependency("migrate", Condition.STARTED),
    )
    assert (web.memory_mib, web.cpus_milli, web.pids, web.restart) == (64, 500, 7, Restart.ALWAYS)
    assert db.environment == {"PORT": "5432", "EMPTY": "", "FROM_APP": "${FROM_APP}"}
    assert db.health_check == HealthCheck(("CMD-SHELL", "true"), 90, 1)
    assert (db.entrypoint, db.temporary, db.user, db.stop_s) == (
        *(("/bin/db", "-x"), ("/tmp",), "1000"),
        5,
    )
    assert (migrate.restart, migrate.depends_on[0].condition) == (Restart.NO, Condition.STARTED)
    assert db.memory_mib == migrate.memory_mib == (512 - 64) // 2


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("privileged: true", "services.a.privileged: is no part"),
        ("network_mode: host", "network_mode"),
        ("pid: host", "pid"),
        ("cap_add: [SYS_ADMIN]", "cap_add"),
        ("devices: [/dev/kvm]", "devices"),
        ("build: .", "build"),
        ("env_file: .env", "env_file"),
        ("secrets: [x]", "secrets"),
        ("security_opt: [seccomp:unconfined]", "security_opt"),
        ("volumes: ['/:/host']", "nothing else of the machine"),
        ("volumes: ['/var/run/docker.sock:/x']", "nothing else of the machine"),
        ("volumes: ['other:/x']", "nothing else of the machine"),
        ("volumes: ['/x']", "SOURCE:TARGET"),
        ("volumes: ['kept:/x:Z']", "SOURCE:TARGET"),
        ("ports: ['0.0.0.0:80:80']", "on loopback"),
        ("ports: ['8000-8010:80']", "on loopback"),
        ("ports: ['53:53/udp']", "on loopback"),
        ("ports: [99999]", "99999"),
        ("pids_limit: 99999", "99999"),
        ("mem_limit: lots", "no size"),
        ("mem_limit: 1m", "needs 16 MiB"),
        ("stop_grace_period: 1h", "3600"),
        ("healthcheck: {test: 'true', interval: often}", "no duration"),
        ("environment: {A: true}", "environment"),
        ("restart: sometimes", "sometimes"),
        ('command: "\'"', "command"),
        ("image: 1", "image"),
    ],
)
def test_what_workers_do_not_run_is_refused_by_its_place(service: str, told: str) -> None:
    first = "" if service.startswith("image") else f"image: '{IMAGE}', "
    text = f"services: {{a: {{{first}{service}}}}}\nvolumes: {{kept: }}"
    with pytest.raises(BadCompose, match=told):
        read_compose(text, memory_mib=512)


@pytest.mark.parametrize(
    "text", ["", "[", "1", "services: {}\nnetworks: {x: }", "services: []", "a: *b", "[" * 5000]
)
def test_what_is_no_compose_file_is_refused(text: str) -> None:
    with pytest.raises(BadCompose):
        read_compose(text, memory_mib=512)


def test_memory_is_shared_and_must_be_enough(tmp_path: Path) -> None:
    text = f"services: {{a: {{image: '{IMAGE}'}}, b: {{image: '{IMAGE}', mem_limit: 500m}}}}"
    with pytest.raises(BadCompose, match="leave 12"):
        read_compose(text, memory_mib=512)
    with pytest.raises(BadCompose, match="cannot be read"):
        read_compose_file(tmp_path / "none.yaml", memory_mib=512)
    large = tmp_path / "large.yaml"
    large.write_text("#" * 300_000)
    with pytest.raises(BadCompose, match="262144"):
        read_compose_file(large, memory_mib=512)
