"""What the measurement of an enclave depends on."""

import os
import shutil

import pytest

from qanat import cpu
from qanat.cpu.measurement import NotMeasurable, enclave_files
from shared.encoding.record import encode_record
from shared.tee.measurement import measure
from tests.support import mock_tee

FILES = {"a/b.py": b"1" * 32, "a/c.py": b"2" * 32}


def test_order_of_files_does_not_matter():
    assert measure(FILES, b"config") == measure(dict(reversed(FILES.items())), b"config")


@pytest.mark.parametrize(
    ("files", "config"),
    [
        (FILES, b"other"),
        (FILES | {"a/c.py": b"3" * 32}, b"config"),
        (FILES | {"a/d.py": b"3" * 32}, b"config"),
        ({"a/b.py": b"1" * 32}, b"config"),
        ({"a/c.py": b"1" * 32, "a/b.py": b"2" * 32}, b"config"),
    ],
)
def test_every_name_content_and_configuration_counts(files, config):
    assert measure(files, config).mr_enclave != measure(FILES, b"config").mr_enclave


@pytest.fixture
def code(tmp_path):
    root = mock_tee.lay_out_toy(tmp_path)
    (root / "shared").unlink()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(cpu.code_root() / "shared", root / "shared", ignore=ignored)
    (root / "services" / "toy" / "rules").mkdir()
    return root


def of_toy(code):
    return cpu.measure_enclave("toy", b"config", root=code).mr_enclave


@pytest.mark.parametrize(
    "path",
    [
        "services/toy/enclave/program.py",
        "services/toy/rules/new.py",
        "shared/errors.py",
        "shared/encoding/cbor.py",
        "shared/crypto/signing.py",
        "shared/types/proof.py",
        "shared/tee/runtime.py",
        "shared/rules/state_keys.py",
    ],
)
def test_trusted_code_is_measured(code, path):
    before = of_toy(code)
    with (code / path).open("a") as file:
        file.write("\n")
    assert of_toy(code) != before


@pytest.mark.parametrize(
    "path",
    [
        "services/toy/node.py",
        "shared/kit/http.py",
        "shared/api/compute.py",
        "shared/tee/__pycache__/quote.cpython-311.pyc",
    ],
)
def test_host_code_is_not_measured(code, path):
    before = of_toy(code)
    (code / path).parent.mkdir(exist_ok=True)
    with (code / path).open("a") as file:
        file.write("\n")
    assert of_toy(code) == before


def compute_code(tmp_path, runtime="evm"):
    """Code of the compute enclave in a directory of its own, and its measurement."""
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("shared", "services", "runtimes"):
        shutil.copytree(cpu.code_root() / part, tmp_path / part, ignore=ignored)
    config = encode_record(mock_tee.enclave_config(runtime=runtime))
    return lambda: cpu.measure_enclave("compute", config, root=tmp_path).mr_enclave


@pytest.mark.parametrize(
    "path",
    [
        "services/compute/enclave/runtime.py",
        "shared/enclave/ledger.py",
        "runtimes/__init__.py",
        "runtimes/evm/runtime.py",
    ],
)
def test_the_runtime_and_what_enclaves_share_is_measured(tmp_path, path):
    measured = compute_code(tmp_path)
    before = measured()
    with (tmp_path / path).open("a") as file:
        file.write("\n")
    assert measured() != before


def test_other_runtimes_and_the_rules_of_the_host_are_not_measured(tmp_path):
    measured = compute_code(tmp_path)
    before = measured()
    other = tmp_path / "runtimes" / "other"
    other.mkdir()
    (other / "__init__.py").write_text("x = 1\n")
    (tmp_path / "services/compute/rules/txpool.py").write_text("")
    assert measured() == before


def test_a_runtime_that_is_not_there_cannot_be_measured():
    config = encode_record(mock_tee.enclave_config(runtime="wasm"))
    with pytest.raises(NotMeasurable, match="wasm"):
        cpu.measure_enclave("compute", config)


def test_measurement_does_not_depend_on_where_the_code_lies(code, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(code, elsewhere)
    assert of_toy(elsewhere) == of_toy(code)


def test_service_without_an_enclave_is_not_measurable():
    with pytest.raises(NotMeasurable, match="gateway"):
        cpu.measure_enclave("gateway", b"")


@pytest.mark.parametrize("service", ["keymanager", "toy"])
def test_native_code_that_reads_records_is_measured_in_every_enclave(code, service):
    root = code if service == "toy" else cpu.code_root()
    files = enclave_files(service, b"", root)
    assert [name for name in files if name.startswith("evm_native/") and name.endswith(".so")]


def test_a_file_whose_times_are_set_back_is_measured_anew(code):
    path = code / "shared" / "errors.py"
    before, found = of_toy(code), path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert path.stat().st_size == found.st_size
    assert of_toy(code) != before
    path.write_bytes(content)
    assert of_toy(code) == before
