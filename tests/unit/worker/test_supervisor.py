"""The program of an app: started, walled in, started again, and ended with its enclave."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from services.worker.enclave.app import LOG_BYTES, SUPERVISOR_GONE, App, LogRing
from services.worker.enclave.daemon import open_sockets
from services.worker.rules.bundle import AppManifest, Bundle, BundledFile
from shared.kit.landlock import is_available
from tests.support.turns import until_seen

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
ROOT = Path(__file__).resolve().parents[3]
SUPERVISE = """
import sys
from pathlib import Path
from services.worker.enclave.supervisor import Supervisor
Supervisor(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])).serve()
"""
POLITE = """
import os, signal, sys

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # one that comes before the wait counts
print("began with", os.environ.get("TOKEN"), os.path.basename(os.environ["ROFL_APPD_SOCKET"]))
signal.sigwait([signal.SIGTERM])
print("ended politely")
sys.exit(3)
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("began")
while True:
    signal.pause()
"""


class Running:
    """An app with its supervisor, and what became of it."""

    def __init__(self, directory: Path, data_root: Path) -> None:
        commands_in, commands_out = os.pipe()
        events_in, events_out = os.pipe()
        output_in, output_out = os.pipe()
        for one in open_sockets(directory, 0):
            one.close()
        theirs = (commands_in, events_out, output_out)
        self.supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, directory, data_root, *map(str, theirs)],
            pass_fds=theirs,
            cwd=ROOT,
        )
        for file in theirs:
            os.close(file)
        self.ended: list[int] = []
        self.commands = commands_out
        self.app = App(directory, commands_out, events_in, output_in, self.ended.append)

    def run(self, program: str, *, memory_mib: int = 512, **variables: str) -> None:
        manifest = AppManifest("app", "1", memory_mib=memory_mib)
        self.app.unpack(Bundle(manifest, (BundledFile("main.py", program.encode()),)))
        self.app.run(variables)

    @property
    def text(self) -> str:
        return self.app.logs().decode()


@contextmanager
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path / "worker" / "app", tmp_path)
    try:
        yield one
    finally:
        with suppress(OSError):
            os.close(one.commands)
        one.supervisor.wait(10)


def lives(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


async def seen(condition: Callable[[], object]) -> None:
    await until_seen(condition, 30)


async def test_a_program_has_its_secrets_and_ends_politely(tmp_path):
    with running(tmp_path) as one:
        one.run(POLITE, TOKEN="hush")
        await seen(lambda: "began with hush appd.sock" in one.text)
        pid = one.app.status().pid
        assert pid is not None
        one.app.end()
        await seen(lambda: one.app.status().exit_status == 3)
        assert "ended politely" in one.text
        assert one.app.status().pid is None
        assert not lives(pid)


async def test_a_program_that_dies_is_started_again(tmp_path):
    with running(tmp_path) as one:
        one.run(POLITE)
        await seen(lambda: "began" in one.text)
        first = one.app.status().pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await seen(lambda: one.app.status().restarts == 1 and one.app.status().pid)
        assert one.app.status().exit_status == -signal.SIGKILL
        await seen(lambda: one.text.count("began") == 2)


@pytest.mark.long
async def test_the_program_ends_with_its_enclave_even_a_stubborn_one(tmp_path):
    with running(tmp_path) as one:
        one.run(STUBBORN)
        await seen(lambda: "began" in one.text)
        pid = one.app.status().pid
        assert pid is not None
        os.close(one.commands)
        assert one.supervisor.wait(10) == 0
        assert not lives(pid)
        await seen(lambda: one.ended == [SUPERVISOR_GONE])


async def test_the_program_ends_with_its_supervisor_and_the_enclave_learns_it(tmp_path):
    with running(tmp_path) as one:
        one.run(STUBBORN)
        await seen(lambda: "began" in one.text)
        pid = one.app.status().pid
        assert pid is not None
        one.supervisor.kill()
        await seen(lambda: one.ended == [SUPERVISOR_GONE])
        await seen(lambda: not lives(pid))


@pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock")
async def test_a_program_reaches_its_own_files_and_no_others(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("x")
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "sealed").write_text("x")
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.write_text("x")
    program = f"""
import os, signal
def attempt(name, action):
    try:
        action()
    except OSError as error:
        print(name, type(error).__name__)
    else:
        print(name, "done")
attempt("other", lambda: open({str(tmp_path / "other" / "secret")!r}))
attempt("enclave", lambda: open({str(tmp_path / "worker" / "sealed")!r}))
attempt("home", lambda: open({str(home)!r}))
attempt("passwords", lambda: open("/etc/shadow"))
attempt("code", lambda: open("code/new.py", "w"))
attempt("supervisor", lambda: os.kill(os.getppid(), 0))
attempt("memory", lambda: open(f"/proc/{{os.getppid()}}/mem"))
attempt("data", lambda: open("data/kept", "w"))
attempt("temporary", lambda: open(os.environ["TMPDIR"] + "/x", "w"))
print("tried all")
while True:
    signal.pause()
"""
    with running(tmp_path) as one:
        one.run(program)
        await seen(lambda: "tried all" in one.text)
        found = dict(line.split() for line in one.text.splitlines() if "all" not in line)
    allowed = {name for name, what in found.items() if what == "done"}
    assert allowed - {"supervisor"} == {"data", "temporary"}
    assert (tmp_path / "worker" / "app" / "data" / "kept").exists()


async def test_memory_of_a_program_is_bounded(tmp_path):
    with running(tmp_path) as one:
        one.run("x = bytearray(200 << 20); open('data/had-it', 'w')", memory_mib=64)
        await seen(lambda: "MemoryError" in one.text)
    assert not (tmp_path / "worker" / "app" / "data" / "had-it").exists()


async def test_what_a_program_keeps_stays_and_its_code_is_written_anew(tmp_path):
    with running(tmp_path) as one:
        one.run("open('data/kept', 'w').write('1'); open('tmp/lost', 'w'); print('wrote')")
        await seen(lambda: "wrote" in one.text)
        one.app.end()
        await seen(lambda: one.app.status().pid is None)
        one.run("import os; print(open('data/kept').read(), os.listdir('tmp'))")
        await seen(lambda: "1 []" in one.text)


def test_logs_keep_the_newest_bytes():
    log = LogRing()
    for number in range(100):
        log.add(bytes([number]) * 5_000)
    kept = log.read()
    assert len(kept) == LOG_BYTES
    assert kept.endswith(bytes([99]) * 5_000)
    log.add(bytes(2 * LOG_BYTES))
    assert log.read() == bytes(LOG_BYTES)
