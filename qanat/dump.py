"""
A whole network in one file: its history, its state, and every secret that it has.

The file is a compressed tar archive. `dump.json` comes first and says what it is; then the network
file, and the data directory as it was at one moment: the nodes of a network that runs stand still
meanwhile, and their stores survive that as they survive a kill.
"""

import gzip
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

from qanat.layout import DataLayout
from qanat.network.checks import NAME
from qanat.provision.data_directory import FORMAT as DATA_FORMAT
from qanat.provision.removal import is_provisioned
from shared.encoding.record import MalformedRecord
from shared.encoding.values import from_wire
from shared.errors import Rejected

FORMAT = 1
"""Of the archive. Before it, or the data directory's, is raised: `tests/e2e/kept_dumps.py`."""
OLDEST_DATA_FORMAT = 2
"""That of the first dump."""
KIND = "qanat dump"
MANIFEST, NETWORK, DATA = "dump.json", "network.toml", "data"
MAX_MANIFEST_BYTES = 64 * 1024
MAX_MEMBERS = 100_000
SPARED_BYTES = 256 * 1024 * 1024
"""Of the disk, which no dump may fill."""
COMPRESSION = 1
"""Stores are mostly ciphertext, which more effort makes no smaller."""
LEFT_OUT = frozenset({"logs", "launcher.json", "launcher.lock", "control.sock", NETWORK})
"""In the data directory: of one run of a launcher. The network file has its own place."""
LEFT_OUT_SUFFIXES = ("-shm", ".new")
"""What SQLite makes anew, and files that were never finished."""


class NothingToDump(Rejected, module="launcher", code=15):
    """The data directory holds no network."""


class BadDump(Rejected, module="launcher", code=16):
    """The file is no dump, or is damaged."""


class DataInTheWay(Rejected, module="launcher", code=17):
    """The data directory is not empty."""


class DumpOfLaterVersion(Rejected, module="launcher", code=26):
    """The dump was written in a format that only later versions read."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dump says of itself."""

    kind: str
    format: int
    """Of the archive."""
    data_format: int
    """Of the data directory in it."""
    network: str
    warning: str = "contains every secret of the network, in plain: keep it as you keep keys"


def write_dump(layout: DataLayout, network_name: str, network_file: Path, file: Path) -> int:
    """
    Write the file, readable by its owner only; nothing may change in the directory meanwhile.

    Returns
    -------
    size : `int`
        Of the file [bytes].

    Raises
    ------
    NothingToDump
        See the class.
    """
    if not is_provisioned(layout):
        raise NothingToDump(f"{layout.root} holds no network")
    manifest = Manifest(KIND, FORMAT, DATA_FORMAT, network_name)
    # A file of this kind has mode 0600 from the beginning, and a name of its own until it is whole.
    handle, unfinished = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.resolve().parent)
    try:
        with (
            os.fdopen(handle, "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz", compresslevel=COMPRESSION) as archive,
        ):
            _add_bytes(archive, MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
            _add_bytes(archive, NETWORK, network_file.read_bytes())
            for path in _files_of(layout.root):
                name = PurePosixPath(DATA, path.relative_to(layout.root).as_posix())
                archive.add(path, str(name), recursive=False)
        Path(unfinished).rename(file)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return file.stat().st_size


def read_dump(
    file: Path, layout: DataLayout, finish: Callable[[DataLayout], object] | None = None
) -> Manifest:
    """
    Make a data directory of a dump, with the network file in it; all of it or nothing.

    Parameters
    ----------
    finish : `Callable`, optional
        What else is done to the directory before it gets its name.

    Raises
    ------
    BadDump, DumpOfLaterVersion, DataInTheWay
        See each class; and what `finish` raises.
    """
    if layout.root.exists() and any(layout.root.iterdir()):
        raise DataInTheWay(f"{layout.root} is not empty: choose another --data, or --wipe it")
    layout.root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{layout.root.name}.", dir=layout.root.parent))
    try:
        with gzip.open(file) as raw, tarfile.open(fileobj=raw, mode="r:") as archive:
            manifest = _read_manifest(archive, file)
            room, members = shutil.disk_usage(unfinished).free - SPARED_BYTES, 0
            for member in archive:
                members, room = members + 1, room - member.size
                if members > MAX_MEMBERS or room < 0:
                    raise BadDump(
                        f"{file}: unpacked it has more than {MAX_MEMBERS} files, or more bytes "
                        f"than the disk of {layout.root.parent} has free"
                    )
                _extract(archive, file, member, unfinished)
            # To the end, where the checksum of all is.
            while raw.read(MAX_MANIFEST_BYTES):
                pass
        made = DataLayout(unfinished)
        if not is_provisioned(made):
            raise BadDump(f"{file}: there is no genesis document in it")
        if finish is not None:
            finish(made)
        if layout.root.exists():
            layout.root.rmdir()
        unfinished.rename(layout.root)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise BadDump(f"{file}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def read_manifest(file: Path) -> Manifest:
    """Read what a dump says of itself, or raise `BadDump`, `DumpOfLaterVersion`."""
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            return _read_manifest(archive, file)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise BadDump(f"{file}: {error}") from error


def _files_of(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[0] in LEFT_OUT or path.name.endswith(LEFT_OUT_SUFFIXES):
            continue
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            yield path


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, BytesIO(content))


def _read_manifest(archive: tarfile.TarFile, file: Path) -> Manifest:
    member = archive.next()
    content = None
    if member is not None and member.name == MANIFEST and member.size <= MAX_MANIFEST_BYTES:
        content = archive.extractfile(member)
    try:
        said = {} if content is None else json.loads(content.read())
        manifest: Manifest = from_wire(Manifest, said)
    except (ValueError, RecursionError, MalformedRecord) as error:
        raise BadDump(f"{file}: {MANIFEST} does not come first") from error
    if manifest.kind != KIND:
        raise BadDump(f"{file}: {manifest.kind!r} is no {KIND!r}")
    if manifest.format > FORMAT or manifest.data_format > DATA_FORMAT:
        raise DumpOfLaterVersion(
            f"{file}: a dump in format {manifest.format} with data in format "
            f"{manifest.data_format}; this version reads up to {FORMAT} and {DATA_FORMAT}"
        )
    if manifest.format < 1 or manifest.data_format < OLDEST_DATA_FORMAT:
        raise BadDump(
            f"{file}: no dump was ever written in format {manifest.format} with data in "
            f"format {manifest.data_format}"
        )
    if not NAME.fullmatch(manifest.network):
        # `qanat load` makes a folder of this name.
        raise BadDump(f"{file}: {manifest.network!r} is no name of a network")
    return manifest


def _extract(archive: tarfile.TarFile, file: Path, member: tarfile.TarInfo, root: Path) -> None:
    """Write one member below the directory, for its owner only; anything but files is refused."""
    parts = PurePosixPath(member.name).parts
    if member.name in (MANIFEST, DATA):
        return
    inside = parts if member.name == NETWORK else parts[1:]
    if not inside or (member.name != NETWORK and parts[0] != DATA) or ".." in parts:
        raise BadDump(f"{file}: {member.name!r} has no place in a dump")
    target = root.joinpath(*inside)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise BadDump(f"{file}: {member.name!r} is no file")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with content, os.fdopen(handle, "wb") as written:
        shutil.copyfileobj(content, written)
