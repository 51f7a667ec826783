"""A program in an enclave is the text that was measured, whatever lies on the disk by then."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qanat.cpu.image import EnclaveImage
from shared.encoding.record import encode_record
from shared.tee.config import EnclaveConfig
from shared.types.registry import RuntimeKind, Version

ROOT = Path(__file__).parents[4]
PROGRAM = "examples.sealed_notes"
LOAD = """
    import importlib, marshal, os, sys
    fd, length = int(sys.argv[1]), int(sys.argv[2])
    for code in marshal.loads(os.read(fd, length)):
        exec(code)
    modules, native, sources = marshal.load(os.fdopen(fd, "rb"))
    finder = MeasuredCode(modules, native, sources)
    sys.meta_path.insert(0, finder)
    for name in native:
        importlib.import_module(name)
    from runtimes.python.loading import load_paratime
    print(load_paratime("examples.sealed_notes").name)
    print(sorted(sources))
    try:
        importlib.import_module("examples.sealed_notes")
    except ModuleNotFoundError as error:
        print(error)
    try:
        load_paratime("examples.other")
    except Exception as error:
        print(error)
"""


def config() -> EnclaveConfig:
    return EnclaveConfig(
        runtime_id=bytes(32),
        kind=RuntimeKind.COMPUTE,
        version=Version(1, 0, 0),
        chain_id="test",
        validators=(),
        root_ca_hash=bytes(32),
        key_manager=None,
        policy_signers=(),
        policy_threshold=0,
        runtime=f"python:{PROGRAM}",
    )


@pytest.mark.slow
def test_the_enclave_loads_the_measured_text_and_nothing_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(encode_record(config()))
    with EnclaveImage("compute", path) as image:
        fd, length = image.files[0], image._first_bytes
        run = subprocess.run(
            [sys.executable, "-OO", "-P", "-s", "-c", textwrap.dedent(LOAD), str(fd), str(length)],
            pass_fds=image.files,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert run.returncode == 0, run.stderr
    name, sources, imported, other = run.stdout.splitlines()
    assert name == "sealed-notes"
    assert sources == f"['{PROGRAM}']"
    assert "was not measured" in imported
    assert other == "there is no module examples.other"


def test_a_changed_program_is_another_enclave(tmp_path: Path) -> None:
    from qanat.cpu.measurement import measure_enclave

    raw = encode_record(config())
    root = tmp_path / "code"
    for part in ("shared", "runtimes", "services", "examples"):
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).symlink_to(ROOT / part)
    before = measure_enclave("compute", raw, root=root)
    (root / "examples").unlink()
    package = root / "examples" / "sealed_notes"
    package.mkdir(parents=True)
    text = (ROOT / "examples" / "sealed_notes" / "__init__.py").read_text()
    (package / "__init__.py").write_text(text + "\n# changed\n")
    assert measure_enclave("compute", raw, root=root) != before
