"""Files of recorded runs: what is read is what was written, and nothing else."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qanat.recording import BadRecording, RecordedRound, Recording, read_recording, write_recording
from shared.crypto.hashes import EMPTY_HASH
from shared.types.block import BlockHeader, HeaderType

FIRST = BlockHeader(
    1, bytes(32), 0, 1_750_000_000, HeaderType.NORMAL, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH
)
SECOND = replace(FIRST, round=1, timestamp=1_750_000_001, previous_hash=FIRST.hash())
RECORDING = Recording(
    "name = 'a network'\n",
    "sapphire",
    (RecordedRound(FIRST, 2), RecordedRound(SECOND, 2, (b"raw", b""), (b"result", b"other"))),
    has_ethereum_gas=True,
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.jsonl"
    write_recording(path, RECORDING)
    return path


def test_what_was_written_is_read(file):
    assert read_recording(file) == RECORDING
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_older_recording_has_sapphires_gas(file):
    rewrite(file, lambda lines: lines[0].pop("ethereum_gas"))
    assert read_recording(file) == replace(RECORDING, has_ethereum_gas=False)


def rewrite(file, change) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[0].update(kind="something else"),
        lambda lines: lines[0].update(format=2),
        lambda lines: lines[0].pop("network"),
        lambda lines: lines.pop(1),
        lambda lines: lines.pop(0),
        lambda lines: lines.reverse(),
        lambda lines: lines[2].update(hash="00" * 32),
        lambda lines: lines[2].update(header="00"),
        lambda lines: lines[2].update(transactions=["no hex"]),
        lambda lines: lines[2].update(transactions=7),
        lambda lines: lines[2].update(epoch="many"),
        lambda lines: lines.append([]),
        lambda lines: lines.append(lines[2]),
    ],
)
def test_changed_file_is_refused_by_name(file, change):
    rewrite(file, change)
    with pytest.raises(BadRecording):
        read_recording(file)


def test_file_that_breaks_off_is_refused(file):
    file.write_text(file.read_text()[:-1])
    with pytest.raises(BadRecording, match="breaks off"):
        read_recording(file)


def test_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadRecording, match="No such file"):
        read_recording(tmp_path / "nothing")


@given(junk=st.binary(max_size=200))
def test_junk_is_refused(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "run.jsonl"
    path.write_bytes(junk)
    with pytest.raises(BadRecording):
        read_recording(path)
