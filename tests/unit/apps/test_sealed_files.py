"""Sealed files are whole, are what they are named, and show nothing."""

import pytest

from apps.errors import BadSeal
from apps.sealed_files import SealedFiles

KEY = bytes(range(32))


@pytest.fixture
def files(tmp_path):
    return SealedFiles(tmp_path / "store", KEY)


def test_what_was_put_is_got_after_a_restart(files, tmp_path):
    files.put("order-1", b"first")
    files.put("order-1", b"second")
    again = SealedFiles(tmp_path / "store", KEY)
    assert again.get("order-1") == b"second"
    assert "order-1" in again
    assert again.get("order-2") is None
    assert "order-2" not in again


def test_names_are_listed_by_prefix(files):
    for name in ("order-2", "found-1", "order-1"):
        files.put(name, b"x")
    assert list(files.names("order-")) == ["order-1", "order-2"]


def test_nothing_stands_in_plain_and_others_cannot_look(files, tmp_path):
    files.put("order-1", b"a row that nobody may see")
    (path,) = (tmp_path / "store").iterdir()
    assert b"nobody" not in path.read_bytes()
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_another_app_reads_nothing(files, tmp_path):
    files.put("order-1", b"x")
    with pytest.raises(BadSeal, match="order-1"):
        SealedFiles(tmp_path / "store", bytes(32)).get("order-1")


def test_a_file_does_not_stand_in_for_another(files, tmp_path):
    files.put("order-1", b"x")
    (tmp_path / "store" / "order-1.sealed").rename(tmp_path / "store" / "order-2.sealed")
    with pytest.raises(BadSeal):
        files.get("order-2")


@pytest.mark.parametrize("content", [b"", b"short", bytes(100)])
def test_a_file_that_was_changed_is_refused(files, tmp_path, content):
    files.put("order-1", b"x")
    (tmp_path / "store" / "order-1.sealed").write_bytes(content)
    with pytest.raises(BadSeal):
        files.get("order-1")


def test_a_write_that_was_cut_leaves_the_old_file(files, tmp_path, monkeypatch):
    files.put("order-1", b"old")

    def cut(_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", cut)
    with pytest.raises(OSError, match="no space"):
        files.put("order-1", b"new")
    assert files.get("order-1") == b"old"
    assert list(files.names("order-")) == ["order-1"]
