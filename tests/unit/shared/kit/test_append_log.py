import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit import append_log
from shared.kit.append_log import AppendLog, frame_entry, split_entries
from tests.support.networks import ROOT

ENTRIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.log"


def filled(path, *entries: bytes) -> AppendLog:
    log = AppendLog(path)
    for entry in entries:
        log.append(entry)
    return log


def found(path) -> tuple[bytes, ...]:
    log = AppendLog(path)
    log.close()
    return log.found


def test_entries_are_there_again(path):
    filled(path, b"one", b"two" * 1000).close()
    filled(path, b"three").close()
    assert found(path) == (b"one", b"two" * 1000, b"three")
    assert path.stat().st_mode & 0o777 == 0o600


@given(ENTRIES, st.data())
def test_a_file_that_ends_anywhere_has_every_whole_entry(entries, data):
    framed = [frame_entry(entry) for entry in entries]
    raw = b"".join(framed)
    end = data.draw(st.integers(0, len(raw)))
    whole, at = split_entries(raw[:end])
    assert whole == tuple(entries[: len(whole)])
    assert at == len(b"".join(framed[: len(whole)])) <= end
    assert len(whole) == len(entries) or end < at + len(framed[len(whole)])


@given(ENTRIES.filter(len), st.data())
def test_after_a_changed_byte_no_entry_is_believed(entries, data):
    framed = [frame_entry(entry) for entry in entries]
    raw = bytearray(b"".join(framed))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    whole, _ = split_entries(bytes(raw))
    before = next(n for n in range(len(framed)) if at < len(b"".join(framed[: n + 1])))
    assert whole == tuple(entries[:before])


@given(st.binary(max_size=64))
def test_any_bytes_are_read_as_far_as_they_are_entries(raw):
    entries, end = split_entries(raw)
    assert b"".join(map(frame_entry, entries)) == raw[:end]


def test_what_follows_the_last_whole_entry_is_cut_off(path):
    filled(path, b"one").close()
    with path.open("ab") as file:
        file.write(bytes(4096))
    filled(path, b"two").close()
    assert found(path) == (b"one", b"two")


def test_cleared_it_is_empty_and_goes_on(path):
    log = filled(path, b"one")
    log.clear()
    assert path.stat().st_size == log.size_bytes == 0
    log.append(b"two")
    log.close()
    assert found(path) == (b"two",)


def test_it_begins_anew_with_what_is_given(path):
    log = filled(path, b"one", b"two", b"three")
    log.begin_anew([b"two"])
    log.append(b"four")
    assert log.size_bytes == path.stat().st_size
    log.close()
    assert found(path) == (b"two", b"four")
    assert [path] == list(path.parent.iterdir())


def test_an_entry_that_does_not_fit_leaves_nothing(path, monkeypatch):
    log = filled(path, b"one")
    write = os.write
    monkeypatch.setattr(append_log.os, "write", lambda file, raw: write(file, raw[:-1]))
    with pytest.raises(OSError, match="disk full"):
        log.append(b"two")
    monkeypatch.undo()
    log.append(b"three")
    log.close()
    assert found(path) == (b"one", b"three")


def test_an_empty_entry_is_refused(path):
    with pytest.raises(ValueError, match="0 bytes"):
        filled(path).append(b"")


PROGRAM = """
import sys
from pathlib import Path
from shared.kit.append_log import AppendLog

log, number = AppendLog(Path(sys.argv[1])), int(sys.argv[2])
while True:
    log.append(b"%d " % number * (number % 500 + 1))
    print(number, flush=True)
    number += 1
    if number % 1000 == 0:
        log.begin_anew([b"%d" % (number - 1)])
"""


def test_killed_it_has_every_entry_of_which_it_told(path):
    number = 0
    for told in (3, 700, 40, 1500, 1):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(number)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [process.stdout.readline() for _ in range(told)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines()
        last = int(lines[-1])
        numbers = [int(entry.split()[0]) for entry in found(path)]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert last <= numbers[-1] <= last + 1
        number = numbers[-1] + 1
