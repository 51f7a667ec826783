"""
Bundles: the files of an attested app with a manifest, in bytes that are the same for everybody.

The measurement of an app's enclave covers the bundle's hash, so who builds the same files gets the
same MRENCLAVE. Canonical CBOR, and no archive format: nothing unpacks to more than it holds, and
nothing can be written in two ways. Differs from upstream, whose `.orc` files are ZIP archives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from services.worker.rules.container_checks import verify_containers
from services.worker.rules.containers import Services
from shared.crypto.hashes import sha256
from shared.encoding.notes import AtMost, Between
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected

MAX_BUNDLE_BYTES = 8 << 20
MAX_FILES = 1024
MAX_NAME_CHARACTERS = 64
MAX_PATH_CHARACTERS = 240
MAX_MEMORY_MIB = 65_536
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
"""Of a path: no hidden files, no way up, nothing that a shell or a terminal reads."""


class BadBundle(Rejected, module="bundle", code=1):
    """The bytes are no bundle, or one that no worker runs."""


@dataclass(frozen=True, slots=True)
class AppManifest:
    """What a worker needs to know to run an app."""

    name: Annotated[str, AtMost(MAX_NAME_CHARACTERS)]
    version: Annotated[str, AtMost(MAX_NAME_CHARACTERS)]
    entry_point: Annotated[str, AtMost(MAX_PATH_CHARACTERS)] = "main.py"
    """Path of the Python file that is run, or of the Compose file, within the bundle."""
    memory_mib: Annotated[int, Between(16, MAX_MEMORY_MIB)] = 512
    """What the program's data, or all containers together, may take [MiB]."""
    containers: Services | None = None
    """What is run instead of a Python file; `entry_point` is the Compose file then."""


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file of an app."""

    path: Annotated[str, AtMost(MAX_PATH_CHARACTERS)]
    """With `/`, from the app's directory on."""
    content: Annotated[bytes, AtMost(MAX_BUNDLE_BYTES)]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An app as it is measured. Files are in the order of their paths."""

    manifest: AppManifest
    files: Annotated[tuple[BundledFile, ...], AtMost(MAX_FILES)]


def encode_bundle(manifest: AppManifest, files: Mapping[str, bytes]) -> bytes:
    """
    Write a bundle.

    Parameters
    ----------
    manifest : `AppManifest`
        What is to be run.
    files : `Mapping`
        Path, with `/`, to content.

    Raises
    ------
    BadBundle
        A path or the manifest is none, or the whole is too large.
    """
    listed = tuple(BundledFile(path, files[path]) for path in sorted(files))
    bundle = Bundle(manifest, listed)
    _verify(bundle)
    raw = encode_record(bundle)
    _verify_size(raw)
    return raw


def decode_bundle(untrusted: bytes) -> Bundle:
    """Read a bundle, or raise `BadBundle`."""
    _verify_size(untrusted)
    try:
        bundle = decode_record(Bundle, untrusted)
    except Rejected as error:
        raise BadBundle(f"these bytes are no bundle: {error.message}") from error
    _verify(bundle)
    return bundle


def bundle_hash(raw: bytes) -> bytes:
    """SHA-256 of a bundle, 32 bytes: its name, and its part in the measurement."""
    return sha256(raw)


def _verify_size(raw: bytes) -> None:
    if len(raw) > MAX_BUNDLE_BYTES:
        raise BadBundle(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes, this one {len(raw)}")


def _verify(bundle: Bundle) -> None:
    manifest, paths = bundle.manifest, [file.path for file in bundle.files]
    for field, text in (("name", manifest.name), ("version", manifest.version)):
        if len(text) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(text):
            raise BadBundle(f"{field} {text[:80]!r} must be letters, digits and `._-`")
    if not 16 <= manifest.memory_mib <= MAX_MEMORY_MIB:
        raise BadBundle(f"memory_mib must be 16 to {MAX_MEMORY_MIB}")
    if len(paths) > MAX_FILES:
        raise BadBundle(f"a bundle has at most {MAX_FILES} files, this one {len(paths)}")
    if any(left >= right for left, right in pairwise(paths)):
        raise BadBundle("files stand in the order of their paths, each once")
    for path in paths:
        if len(path) > MAX_PATH_CHARACTERS or not all(map(_PART.fullmatch, path.split("/"))):
            raise BadBundle(f"path {path[:80]!r} is none that a worker writes")
    folders = {
        "/".join(parts[:at])
        for path in paths
        for parts in [path.split("/")]
        for at in range(1, len(parts))
    }
    if both := folders.intersection(paths):
        raise BadBundle(f"{min(both)!r} is a file and a folder")
    if manifest.entry_point not in paths:
        raise BadBundle(f"entry_point {manifest.entry_point[:80]!r} is no file of the bundle")
    if manifest.containers is not None:
        verify_containers(manifest.containers, memory_mib=manifest.memory_mib, paths=paths)
    elif not manifest.entry_point.endswith(".py"):
        raise BadBundle(f"entry_point {manifest.entry_point[:80]!r} is no Python file")
