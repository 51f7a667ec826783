"""What the measurement of an enclave depends on."""

import shutil

import pytest

from qanat import cpu
from qanat.cpu.measurement import NotMeasurable
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


def test_measurement_does_not_depend_on_where_the_code_lies(code, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(code, elsewhere)
    assert of_toy(elsewhere) == of_toy(code)


def test_service_without_an_enclave_is_not_measurable():
    with pytest.raises(NotMeasurable, match="gateway"):
        cpu.measure_enclave("gateway", b"")
