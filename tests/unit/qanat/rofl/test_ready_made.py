"""Apps of this project as bundles: whole, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from qanat.options import ROOT
from qanat.rofl.bundle import pack
from qanat.rofl.ready_made import PROGRAMS, UnknownProgram, find_program, sources_of, write_program
from services.worker.rules.bundle import AppManifest, decode_bundle


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_runs_on_its_own_files(tmp_path: Path, name: str) -> None:
    count = write_program(tmp_path, find_program(name))
    bundle = decode_bundle(pack(tmp_path, AppManifest(name, "0.1.0")))
    assert len(bundle.files) == count
    # As a worker starts it, whose environment has these modules as well.
    look = (
        "import sys, runpy; main = sys.argv[1]; sys.argv = ['main.py', '--help']\n"
        "try: runpy.run_path(main, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "ours = [m.__file__ for n, m in sys.modules.items()"
        " if n.split('.')[0] in ('apps', 'shared') and getattr(m, '__file__', None)]\n"
        "print('\\n'.join(ours), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-B", "-c", look, str(tmp_path / "main.py")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )
    loaded = done.stderr.split()
    assert len(loaded) > 20
    assert [one for one in loaded if not Path(one).is_relative_to(tmp_path)] == []
    assert "--gateway" in done.stdout


def test_a_bundle_has_no_more_than_its_app_needs() -> None:
    inference = {path.relative_to(ROOT).parts[1] for path in sources_of("apps.inference.__main__")}
    assert "inference" in inference
    assert not {"data_market", "knowledge"} & inference


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownProgram, match="inference"):
        find_program("nothing")
