"""Changes of proposals that were given up."""

import pytest

from shared.enclave.set_aside import MOST, SetAside

ROOTS = [bytes([number]) * 32 for number in range(MOST + 1)]


@pytest.fixture(params=["memory", "disk"])
def directory(request, tmp_path):
    return None if request.param == "memory" else tmp_path


def test_a_change_is_found_by_round_and_root_until_the_round_is_over(directory):
    aside = SetAside(directory)
    aside.keep(7, ROOTS[0], b"zero")
    aside.keep(7, ROOTS[1], b"one")
    assert (aside.find(7, ROOTS[0]), aside.find(7, ROOTS[1])) == (b"zero", b"one")
    assert aside.find(8, ROOTS[0]) is aside.find(7, ROOTS[2]) is None
    aside.clear()
    assert aside.find(7, ROOTS[0]) is None


def test_the_newest_stay_where_there_are_too_many(directory):
    aside = SetAside(directory)
    for root in ROOTS:
        aside.keep(7, root, root)
    assert aside.find(7, ROOTS[0]) is None
    assert [aside.find(7, root) for root in ROOTS[1:]] == ROOTS[1:]


def test_another_start_finds_them_and_forgets_them(tmp_path):
    (tmp_path / "another").write_bytes(b"stays")
    SetAside(tmp_path).keep(7, ROOTS[0], b"zero")
    later = SetAside(tmp_path)
    assert later.find(7, ROOTS[0]) == b"zero"
    later.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["another"]


def test_a_disk_that_fails_costs_only_what_it_would_have_kept(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    aside = SetAside(tmp_path / "file")
    aside.keep(7, ROOTS[0], b"zero")
    assert aside.find(7, ROOTS[0]) == b"zero"
    aside.clear()
    assert aside.find(7, ROOTS[0]) is None
