"""A data directory in one file and back; the files here stand for a network's."""

import io
import json
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qanat import dump
from qanat.cli import app as command_line
from qanat.dump import (
    DATA,
    DATA_FORMAT,
    FORMAT,
    KIND,
    MANIFEST,
    BadDump,
    DataInTheWay,
    DumpOfLaterVersion,
    Manifest,
    NothingToDump,
    read_dump,
    read_manifest,
    write_dump,
)
from qanat.layout import DataLayout
from services.worker.rules.bundle import AppManifest, encode_bundle
from services.worker.rules.containers import ContainerService, Mount, MountKind
from services.worker.store import Deployment, DeploymentStore
from tests.support.networks import ROOT

NETWORK = ROOT / "networks" / "default.toml"
MANIFEST_OF_NOW = Manifest(KIND, FORMAT, DATA_FORMAT, "default")


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    layout = DataLayout(tmp_path / "data")
    for path, content in (
        (layout.genesis, b"genesis"),
        (layout.policy_signers, b"seeds"),
        (layout.host("consensus-0") / "consensus.sqlite", b"blocks"),
        (layout.host("consensus-0") / "consensus.sqlite-wal", b"newest blocks"),
        (layout.host("consensus-0") / "consensus.sqlite-shm", b"of one run"),
        (layout.log_of("compute-0", "host"), b"lines"),
        (layout.launcher_state, b"{}"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (layout.root / "compute-0" / "enclave" / "empty").mkdir(parents=True)
    return layout


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def archive(file: Path, *members: tuple[tarfile.TarInfo, bytes], manifest: object = None) -> Path:
    """Write a dump by hand."""
    said = json.dumps(asdict(MANIFEST_OF_NOW) if manifest is None else manifest).encode()
    with tarfile.open(file, "w:gz") as written:
        for member, content in ((tarfile.TarInfo(MANIFEST), said), *members):
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
    return file


def test_everything_comes_back_but_what_belongs_to_one_run(
    layout: DataLayout, tmp_path: Path
) -> None:
    file, loaded = tmp_path / "network.dump", DataLayout(tmp_path / "there")
    write_dump(layout, "default", NETWORK, file)
    assert file.stat().st_mode & 0o777 == 0o600
    manifest = read_dump(file, loaded)
    assert manifest == read_manifest(file) == MANIFEST_OF_NOW
    assert "secret" in manifest.warning
    assert contents(loaded.root) == {
        "network.toml": NETWORK.read_bytes(),
        "public/genesis.cbor": b"genesis",
        "policy-signers.json": b"seeds",
        "consensus-0/host/consensus.sqlite": b"blocks",
        "consensus-0/host/consensus.sqlite-wal": b"newest blocks",
    }
    assert (loaded.root / "compute-0" / "enclave" / "empty").is_dir()
    modes = {path.stat().st_mode & 0o777 for path in loaded.root.rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_dump_of_what_was_loaded_is_the_same(layout: DataLayout, tmp_path: Path) -> None:
    once, twice = DataLayout(tmp_path / "once"), DataLayout(tmp_path / "twice")
    write_dump(layout, "default", NETWORK, tmp_path / "first.dump")
    read_dump(tmp_path / "first.dump", once)
    write_dump(once, "default", once.network_file, tmp_path / "second.dump")
    read_dump(tmp_path / "second.dump", twice)
    assert contents(once.root) == contents(twice.root)


def test_nothing_is_overwritten_and_nothing_is_left_half(
    layout: DataLayout, tmp_path: Path
) -> None:
    file = tmp_path / "network.dump"
    write_dump(layout, "default", NETWORK, file)
    with pytest.raises(DataInTheWay):
        read_dump(file, layout)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(BadDump):
        read_dump(file, DataLayout(tmp_path / "there"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "network.dump"]


def test_directory_without_a_network_is_not_dumped(tmp_path: Path) -> None:
    with pytest.raises(NothingToDump):
        write_dump(DataLayout(tmp_path / "none"), "default", NETWORK, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def long_named(name: str) -> tarfile.TarInfo:
    """Name a member where names may hold anything."""
    member = tarfile.TarInfo("short")
    member.pax_headers = {"path": name}
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo(f"{DATA}/../../outside"),
        tarfile.TarInfo("/outside"),
        long_named(f"{DATA}/a\0b"),
        tarfile.TarInfo("elsewhere/file"),
        link(f"{DATA}/link", tarfile.SYMTYPE),
        link(f"{DATA}/link", tarfile.LNKTYPE),
        link(f"{DATA}/device", tarfile.CHRTYPE),
        link(f"{DATA}/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_what_has_no_place_in_a_dump_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    file = archive(tmp_path / "evil.dump", (member, b""))
    with pytest.raises(BadDump):
        read_dump(file, DataLayout(tmp_path / "there"))
    assert [path.name for path in tmp_path.iterdir()] == ["evil.dump"]


@pytest.mark.parametrize(
    "manifest",
    [
        asdict(replace(MANIFEST_OF_NOW, kind="another")),
        asdict(replace(MANIFEST_OF_NOW, format=0)),
        asdict(replace(MANIFEST_OF_NOW, data_format=1)),
        {"kind": KIND},
        asdict(replace(MANIFEST_OF_NOW, network="../elsewhere")),
        asdict(replace(MANIFEST_OF_NOW, network="/elsewhere")),
        [],
        "text",
    ],
)
def test_file_that_says_to_be_something_else_is_refused(tmp_path: Path, manifest: object) -> None:
    file = archive(tmp_path / "network.dump", manifest=manifest)
    with pytest.raises(BadDump):
        read_manifest(file)


@pytest.mark.parametrize("raised", ["format", "data_format"])
def test_dump_of_a_later_version_is_refused_as_such(tmp_path: Path, raised: str) -> None:
    later = asdict(MANIFEST_OF_NOW) | {raised: getattr(MANIFEST_OF_NOW, raised) + 1}
    file = archive(tmp_path / "network.dump", manifest=later)
    with pytest.raises(DumpOfLaterVersion, match="this version reads up to"):
        read_dump(file, DataLayout(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_directory_that_cannot_be_finished_is_not_made(layout: DataLayout, tmp_path: Path) -> None:
    def fail(made: DataLayout) -> None:
        assert made.genesis.read_bytes() == b"genesis"
        raise NothingToDump("as a test has it")

    file = tmp_path / "network.dump"
    write_dump(layout, "default", NETWORK, file)
    with pytest.raises(NothingToDump):
        read_dump(file, DataLayout(tmp_path / "there"), fail)
    assert not [path for path in tmp_path.iterdir() if "there" in path.name]


@pytest.mark.parametrize("bound", ["MAX_MEMBERS", "free"])
def test_a_dump_that_would_fill_the_disk_is_refused(
    layout: DataLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    file = tmp_path / "network.dump"
    write_dump(layout, "default", NETWORK, file)
    if bound == "free":
        usage = type("Usage", (), {"free": dump.SPARED_BYTES + 20})()
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    else:
        monkeypatch.setattr(dump, "MAX_MEMBERS", 3)
    with pytest.raises(BadDump, match="unpacked"):
        read_dump(file, DataLayout(tmp_path / "other"))
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"text", b"\x1f\x8b" + bytes(100)):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(BadDump):
            read_manifest(tmp_path / "file")
    with pytest.raises(BadDump):
        read_manifest(tmp_path / "nowhere")


def test_volumes_of_containers_are_said_to_be_left_out(layout: DataLayout, tmp_path: Path) -> None:
    mounts = (
        Mount(MountKind.VOLUME, "prices", "/prices"),
        Mount(MountKind.VOLUME, "kept", "/kept"),
        Mount(MountKind.DAEMON, "", "/run/rofl-appd.sock"),
    )
    service = ContainerService("oracle", f"sha256:{'0' * 64}", 64, mounts=mounts)
    described = AppManifest(
        name="oracle",
        version="1",
        memory_mib=64,
        entry_point="compose.yaml",
        containers=(service,),
    )
    deployed = DeploymentStore(layout.host("worker-0") / "apps")
    deployed.save(Deployment(bytes(21)), encode_bundle(described, {"compose.yaml": b""}))
    layout.launcher_state.unlink()
    file, network = tmp_path / "network.dump", ROOT / "networks" / "workers.toml"
    where = ("--data", str(layout.root), "--network", str(network))
    done = CliRunner().invoke(command_line, ["dump", str(file), *where])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stderr.split())
    assert "of oracle's containers, the volumes kept, prices stay in the Docker engine" in said
