"""Processes that are forked from one that has loaded their program."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from qanat.fork_spawn import spawn_fork_server
from qanat.forks import STATUS_UNKNOWN, Forks, ForkServerGone
from tests.support.turns import until_seen

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

PROGRAM = """
import os, signal, socket, sys
from qanat.fork_server import serve

serve(socket.socket(fileno=0))
print(os.environ["SAY"], flush=True)
match os.environ["THEN"]:
    case "fail":
        sys.exit(7)
    case "wait":
        signal.pause()
    case "answer":
        first, second = map(int, os.environ["FILES"].split(","))
        os.write(second, os.read(first, 100).upper())
    case "look":
        print(sorted(os.environ), sorted(os.listdir("/proc/self/fd")), os.getsid(0) == os.getpid())
"""


@pytest.fixture
async def forks():
    environment = {"PYTHONPATH": str(ROOT), "SECRET_OF_THE_SERVER": "1"}
    forks = Forks(spawn_fork_server(("-c", PROGRAM), environment))
    yield forks
    forks.close()
    with pytest.raises(ProcessLookupError):
        os.kill(forks.pid, 0)


def _start(forks, then, output=None, files=None, say="hello"):
    return forks.start(
        {"SAY": say, "THEN": then}, command=("program", then), files=files or {}, output=output
    )


async def test_each_process_says_how_it_ended(forks, tmp_path):
    well, badly, killed = [
        await _start(forks, then, tmp_path / then) for then in ("nothing", "fail", "wait")
    ]
    assert await well.wait() == 0
    assert await badly.wait() == 7
    assert killed.returncode is None
    killed.kill()
    assert await killed.wait() == killed.returncode == -signal.SIGKILL
    killed.terminate()


async def test_a_process_writes_to_its_own_log(forks, tmp_path):
    logs = [tmp_path / "first", tmp_path / "second"]
    processes = [await _start(forks, "nothing", log, say=log.name) for log in logs]
    await asyncio.gather(*(process.wait() for process in processes))
    assert [log.read_text() for log in logs] == ["first\n", "second\n"]


async def test_a_process_has_the_environment_and_files_that_it_was_given_alone(forks, tmp_path):
    log = tmp_path / "log"
    sleeper = await _start(forks, "wait", tmp_path / "sleeper")
    assert await (await _start(forks, "look", log)).wait() == 0
    seen = log.read_text().splitlines()[1]
    # The fourth file is the folder that it lists.
    assert seen == "['SAY', 'THEN'] ['0', '1', '2', '3'] True"
    sleeper.kill()


async def test_files_are_handed_over_under_the_numbers_that_they_have_there(forks, tmp_path):
    reading, theirs = os.pipe()
    ours, writing = os.pipe()
    process = await _start(forks, "answer", tmp_path / "log", {"FILES": [ours, theirs]})
    os.close(ours)
    os.close(theirs)
    os.write(writing, b"question")
    assert await process.wait() == 0
    assert os.read(reading, 100) == b"QUESTION"
    os.close(reading)
    os.close(writing)


def _command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_a_process_shows_the_command_line_that_it_was_given(forks, tmp_path):
    process = await _start(forks, "wait", tmp_path / "log")
    await until_seen((tmp_path / "log").read_text)
    shown = _command_line(process.pid)
    assert shown.rstrip(b"\0").split(b"\0") == [b"program", b"wait"]
    process.kill()


async def test_processes_count_as_ended_when_their_server_is_gone(forks, tmp_path):
    process = await _start(forks, "wait", tmp_path / "log")
    os.kill(forks.pid, signal.SIGKILL)
    assert await process.wait() == STATUS_UNKNOWN
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ForkServerGone):
        await _start(forks, "nothing", tmp_path / "log")


async def test_a_program_that_cannot_be_loaded_is_a_typed_error(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        forks = Forks(spawn_fork_server(("-c", "raise SystemExit(3)"), {}, output=log.fileno()))
    with pytest.raises(ForkServerGone):
        await _start(forks, "nothing")
