import subprocess
import sys

import pytest

from qanat import log_files
from qanat.launcher.log_rotation import rotate_large
from qanat.log_files import LogReader, older_of, rotate

LINE = b"%07d and some text that makes the line longer\n"


def lines(first: int, last: int) -> bytes:
    return b"".join(LINE % number for number in range(first, last))


@pytest.fixture(params=["cut off", "emptied"])
def log(request, tmp_path, monkeypatch):
    """A log, on a file system that cuts files or on one that does not."""
    if request.param == "emptied":
        monkeypatch.setattr(log_files, "_cut_off", lambda *_: False)
    return tmp_path / "compute-0.host.log"


def append(log, text: bytes) -> None:
    with log.open("ab") as file:
        file.write(text)


def test_nothing_is_lost_and_nothing_is_there_twice(log):
    append(log, lines(0, 5_000))
    rotate(log)
    append(log, lines(5_000, 5_010))
    assert older_of(log).read_bytes() + log.read_bytes() == lines(0, 5_010)
    assert log.stat().st_size < 10_000
    rotate_large(log.parent, 1 << 20)
    assert log.stat().st_size > 0
    append(log, lines(5_010, 9_000))
    before = log.read_bytes()
    rotate_large(log.parent, 100_000)
    assert older_of(log).read_bytes() + log.read_bytes() == before


def test_a_small_log_can_be_rotated(log):
    append(log, b"a line\n")
    rotate(log)
    assert older_of(log).read_bytes() + log.read_bytes() == b"a line\n"


def test_a_process_goes_on_in_the_same_file(log):
    """The pieces that a reader gets while a process writes and the log is rotated are its lines."""
    if log_files._cut_off.__name__ == "<lambda>":
        pytest.skip("on such a file system a line may be lost")
    writer = f"import os, sys\nfor number in range(40_000):\n    os.write(1, {LINE!r} % number)\n"
    log.touch()
    reader = LogReader(log)
    seen = reader.read_last(10)
    with (
        log.open("ab") as output,
        subprocess.Popen([sys.executable, "-c", writer], stdout=output) as process,
    ):
        while process.poll() is None:
            if log.stat().st_size > 200_000:
                seen += reader.read_on()
                rotate(log)
                seen += reader.read_on()
    seen += reader.read_on()
    assert seen == lines(0, 40_000)
    assert older_of(log).exists()


def test_the_last_lines_are_shown_across_a_rotation(log):
    append(log, lines(0, 1_000))
    rotate(log)
    append(log, lines(1_000, 1_005))
    reader = LogReader(log)
    assert reader.read_last(300) == lines(705, 1_005)
    assert reader.read_on() == b""
    append(log, lines(1_005, 1_006))
    assert reader.read_on() == lines(1_005, 1_006)
    assert LogReader(log).read_last(2) == lines(1_004, 1_006)
    assert LogReader(log).read_last(5_000) == lines(0, 1_006)


def test_who_follows_gets_what_came_before_and_after_a_rotation(log):
    append(log, lines(0, 100))
    reader = LogReader(log)
    reader.read_last(1)
    append(log, lines(100, 1_000))
    rotate(log)
    append(log, lines(1_000, 1_003))
    assert reader.read_on() == lines(100, 1_003)
    assert reader.read_on() == b""


def test_a_log_that_cannot_be_rotated_is_left(log, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qanat.launcher.log_rotation.rotate", fail)
    append(log, lines(0, 10))
    rotate_large(log.parent, 1)
    assert log.read_bytes() == lines(0, 10)
