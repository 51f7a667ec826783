"""Bundles of attested apps: the same bytes for the same files, and nothing else."""

import pytest

from qanat.rofl.bundle import NoSuchParaTime, enclave_identity, pack
from services.worker.rules.bundle import (
    MAX_BUNDLE_BYTES,
    AppManifest,
    BadBundle,
    Bundle,
    BundledFile,
    decode_bundle,
    encode_bundle,
)
from shared.encoding.record import encode_record
from tests.support.keymanager import PARATIME_ID
from tests.support.world_genesis import make_genesis

ORACLE = AppManifest("oracle", "0.1.0")
FILES = {"main.py": b"print('here')\n", "lib/prices.py": b"PRICE = 1\n"}


def test_the_order_in_which_files_are_found_does_not_matter():
    raw = encode_bundle(ORACLE, FILES)
    assert raw == encode_bundle(ORACLE, dict(reversed(FILES.items())))
    bundle = decode_bundle(raw)
    assert bundle.manifest == ORACLE
    assert {file.path: file.content for file in bundle.files} == FILES


@pytest.mark.parametrize(
    "path",
    ["../main.py", "/main.py", "lib//a.py", "lib/./a.py", ".hidden/a.py", "", "a b.py", "a\nb.py"],
)
def test_a_path_that_leads_elsewhere_is_refused_by_writer_and_reader(path):
    with pytest.raises(BadBundle, match="path"):
        encode_bundle(ORACLE, FILES | {path: b""})
    files = tuple(BundledFile(*one) for one in sorted((FILES | {path: b""}).items()))
    with pytest.raises(BadBundle, match="path"):
        decode_bundle(encode_record(Bundle(ORACLE, files)))


def test_files_out_of_order_or_twice_or_within_a_file_are_refused():
    first, second = (BundledFile(path, b"") for path in ("a.py", "main.py"))
    within = BundledFile("main.py/x.py", b"")
    for files in ((second, first), (first, second, second), (second, within)):
        with pytest.raises(BadBundle):
            decode_bundle(encode_record(Bundle(ORACLE, files)))


@pytest.mark.parametrize(
    "manifest",
    [
        AppManifest("", "1"),
        AppManifest("a/b", "1"),
        AppManifest("oracle", "1 2"),
        AppManifest("oracle", "1", "none.py"),
        AppManifest("oracle", "1", "data.txt"),
        AppManifest("oracle", "1", memory_mib=1),
    ],
)
def test_a_manifest_that_no_worker_runs_is_refused(manifest):
    with pytest.raises(BadBundle):
        encode_bundle(manifest, FILES | {"data.txt": b""})


def test_what_is_too_large_or_no_bundle_is_refused():
    with pytest.raises(BadBundle, match="bytes"):
        encode_bundle(ORACLE, FILES | {"large.bin": bytes(MAX_BUNDLE_BYTES)})
    for raw in (b"", b"\xa0", encode_bundle(ORACLE, FILES)[:-1], bytes(MAX_BUNDLE_BYTES + 1)):
        with pytest.raises(BadBundle):
            decode_bundle(raw)


def test_a_directory_is_packed_without_what_is_no_part_of_the_app(tmp_path):
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    secret = tmp_path.with_name("secret.py")
    secret.write_text("KEY = 1")
    (tmp_path / "link.py").symlink_to(secret)
    (tmp_path / "__pycache__").mkdir()
    for ignored in ("rofl.yaml", "old.orc", ".env", "__pycache__/main.pyc"):
        (tmp_path / ignored).write_text("x")
    assert pack(tmp_path, ORACLE) == encode_bundle(ORACLE, FILES)


def test_each_bundle_manifest_and_network_has_an_enclave_of_its_own():
    genesis, other = make_genesis(("compute-0",)), make_genesis(("compute-1",), epoch_s=10)
    raw = encode_bundle(ORACLE, FILES)
    identity = enclave_identity(raw, genesis, PARATIME_ID)
    assert identity == enclave_identity(raw, genesis, PARATIME_ID)
    changed = encode_bundle(ORACLE, FILES | {"main.py": b"print('there')\n"})
    larger = encode_bundle(AppManifest("oracle", "0.1.0", memory_mib=1024), FILES)
    found = {
        enclave_identity(one, genesis, PARATIME_ID).mr_enclave for one in (raw, changed, larger)
    }
    assert len(found) == 3
    # What enclaves pin is the chain, not each parameter of it.
    assert identity == enclave_identity(raw, other, PARATIME_ID)
    with pytest.raises(NoSuchParaTime):
        enclave_identity(raw, genesis, b"\x80" + bytes(31))
