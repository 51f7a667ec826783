"""
A dump of every version is kept; `tests/e2e/test_kept_dumps.py` loads each.

If this fails you have raised a format. Go back to before the change, make the dump of the version
that is about to be the last by `python -m tests.e2e.kept_dumps`, and commit it with the change.
"""

from qanat.dump import FORMAT, OLDEST_DATA_FORMAT, read_manifest
from qanat.provision.data_directory import FORMAT as DATA_FORMAT
from tests.e2e.kept_dumps import list_kept

MAX_BYTES = 300 * 1024
"""Of each; they stay in the repository for ever."""


def test_a_dump_of_every_version_so_far_is_kept() -> None:
    kept = list_kept()
    assert {one.format for one in kept} == set(range(1, FORMAT + 1))
    assert {one.data_format for one in kept} == set(range(OLDEST_DATA_FORMAT, DATA_FORMAT + 1))


def test_a_kept_dump_is_what_its_name_says_and_small() -> None:
    for one in list_kept():
        manifest = read_manifest(one.file)
        assert (manifest.format, manifest.data_format) == (one.format, one.data_format)
        assert one.file.stat().st_size < MAX_BYTES
        assert one.told["source"]
