"""What a host's process can still do behind the wall that the launcher puts up."""

import json
import subprocess
import sys
import textwrap

import pytest

from qanat.launcher.wall import ABSENT, is_available, put_up_wall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock"),
]

_PYTHON = (sys.executable, "-c")
PROBE = """
import json, os, signal, sys
from pathlib import Path
from qanat.launcher.wall import put_up_wall, surroundings

data, outsider, forked = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "forked"
around = surroundings(data)
if forked:
    hosts = [data / "node" / "host", data / "other" / "host"]
    put_up_wall(data, writable=hosts, readable=data / "public", around=around)
own = [data / "node" / "host"]
wall = put_up_wall(data, writable=own, readable=data / "public", around=around if forked else None)

def attempt(what):
    try:
        return what() or "done"
    except OSError as error:
        return type(error).__name__

print(json.dumps({
    "wall": wall,
    "own": attempt(lambda: (data / "node/host/new").write_text("x") and None),
    "own after": attempt(lambda: (data / "node/host/new").rename(data / "node/host/n") and None),
    "public": attempt((data / "public/genesis").read_text),
    "write public": attempt(lambda: (data / "public/genesis").write_text("x")),
    "platform": attempt((data / "node/cpu/platform.cbor").read_bytes),
    "enclave": attempt((data / "node/enclave/sealed").read_bytes),
    "enclave list": attempt(lambda: os.listdir(data / "node/enclave") and None),
    "plant": attempt(lambda: (data / "node/enclave/planted").write_text("x")),
    "remove": attempt((data / "node/enclave/sealed").unlink),
    "other": attempt((data / "other/host/identity").read_bytes),
    "authority": attempt((data / "mock-authority.cbor").read_bytes),
    "memory": attempt(lambda: open(f"/proc/{outsider}/mem", "rb").close()),
    "files": attempt(lambda: open(f"/proc/{outsider}/fd/0", "rb").close()),
    "signal": attempt(lambda: os.kill(outsider, 0)),
    "itself": attempt(lambda: os.kill(os.getpid(), 0)),
    "system": attempt(lambda: Path("/etc/hostname").read_text() and None),
}))
"""


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for name in (
        "node/host/identity",
        "node/cpu/platform.cbor",
        "node/enclave/sealed",
        "other/host/identity",
        "public/genesis",
        "mock-authority.cbor",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


@pytest.fixture(params=["alone", "forked"])
def attempts(data, request):
    """
    What came of each attempt, against a process outside that plays launcher or enclave.

    A forked host stands behind two walls, since what it was forked from has its own.
    """
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as outsider:
        try:
            out = subprocess.run(
                [*_PYTHON, textwrap.dedent(PROBE), str(data), str(outsider.pid), request.param],
                check=True,
                capture_output=True,
                timeout=30,
            ).stdout
        finally:
            outsider.kill()
    return json.loads(out)


def test_host_keeps_its_own_directory_and_reads_what_is_public(attempts):
    assert attempts["own"] == attempts["own after"] == "done"
    assert attempts["public"] == "public/genesis"
    assert attempts["write public"] == "PermissionError"
    assert attempts["itself"] == attempts["system"] == "done"


def test_host_reaches_neither_the_mock_cpu_nor_the_enclaves_files_nor_other_nodes(attempts):
    out_of_reach = ("platform", "enclave", "enclave list", "plant", "remove", "other", "authority")
    assert {attempts[what] for what in out_of_reach} == {"PermissionError"}


def test_host_looks_into_no_process_outside(attempts):
    assert attempts["memory"] == attempts["files"] == "PermissionError"
    if int(attempts["wall"].removeprefix("landlock ")) >= 6:
        assert attempts["signal"] == "PermissionError"


def test_host_is_told_which_wall_stands(attempts):
    assert attempts["wall"].startswith("landlock ")


def test_kernel_without_landlock_is_said_to_have_no_wall(data, monkeypatch):
    monkeypatch.setattr("shared.kit.landlock._version", lambda _: -1)
    assert put_up_wall(data, writable=[data], readable=data) == ABSENT
