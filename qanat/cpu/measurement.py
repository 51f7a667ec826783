"""
Which files are an enclave's code, and their measurement.

The list is the trusted base: the service's `enclave/` and the rules that it imports, the shared
layers that enclaves may import, the native module, and for compute the runtime that the
configuration names. Third-party packages and the interpreter are not measured;
`docs/services/enclave.md` says so.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal

import shared
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.tee.config import EnclaveConfig
from shared.tee.measurement import measure
from shared.types.attestation import EnclaveIdentity

EnclaveService = Literal["compute", "keymanager", "worker"]

SHARED_PARTS = ("errors.py", "encoding", "crypto", "types", "tee", "rules", "enclave")
HOST_RULES = {"compute"}
"""Services whose `rules/` are the host's alone."""
FURTHER_PARTS = {
    "worker": (
        "services/worker/appd",
        "shared/gateways/hosts.py",
        "shared/kit/bodies.py",
        "shared/kit/cpu_share.py",
        "shared/kit/landlock.py",
    )
}
"""What else enclaves of a service run: a worker's serve HTTP to the app beside them."""
BUNDLE = "bundle"
"""Name of an app's bundle in the measurement."""
NATIVE_PACKAGE = "evm_native"
"""What every enclave loads beside Python: records are read natively, and the EVM runs there."""
IGNORED_DIRECTORY = "__pycache__"
MAX_KNOWN_HASHES = 4096
"""Some ten times as many as the files of all enclaves."""


class NotMeasurable(Rejected, module="cpu", code=1):
    """Code of the enclave is not there, so it can neither be measured nor run."""


def code_root() -> Path:
    """Directory that holds `shared` and `services`: the one the enclaves run from."""
    return Path(str(shared.__file__)).resolve().parents[1]


def measure_enclave(
    service: str,
    config: bytes,
    *,
    root: Path | None = None,
    bundle: bytes | None = None,
    code: Mapping[str, bytes] | None = None,
) -> EnclaveIdentity:
    """
    Measure an enclave's files as they are now, its configuration, and the app that it is for.

    `code` are hashes of files that are elsewhere, as `hash_code` gives them there.

    Raises
    ------
    NotMeasurable
        A part of the code is missing, such as a native package that is not installed.
    """
    hashes = hash_code(service, config, root) if code is None else dict(code)
    return measure(hashes | hash_bundle(bundle), config)


def hash_code(service: str, config: bytes = b"", root: Path | None = None) -> dict[str, bytes]:
    """SHA-256 of each file of an enclave by its name in the measurement, or `NotMeasurable`."""
    return _hashes(enclave_files(service, config, root or code_root()))


def hash_bundle(bundle: bytes | None) -> dict[str, bytes]:
    """Give the entry of an app's bundle in the measurement; none where there is no app."""
    return {} if bundle is None else {BUNDLE: hashlib.sha256(bundle).digest()}


def enclave_files(service: str, config: bytes, root: Path) -> dict[str, Path]:
    """List the files of an enclave by their name in the measurement, or raise `NotMeasurable`."""
    paths = dict(_code_files(service, root))
    if service == "compute" and config:
        runtime = decode_record(EnclaveConfig, config).runtime
        if runtime is None:
            raise NotMeasurable("the configuration of a compute enclave names no runtime")
        paths |= _runtime_files(runtime, root)
    return paths


def _hashes(paths: Mapping[str, Path]) -> dict[str, bytes]:
    hashes = {}
    for name, path in paths.items():
        with path.open("rb") as file:
            hashes[name] = hash_file(file)
    return hashes


def hash_file(file: BinaryIO) -> bytes:
    """
    SHA-256 of an open file, or what it was when the file last changed.

    The native module is megabytes, and each enclave of a network is measured. Who writes to a file
    changes its time of change, which nobody sets.
    """
    before = _state_of(file)
    known = _KNOWN_HASHES.get(before)
    if known is not None:
        return known
    found = hashlib.sha256(file.read()).digest()
    if _state_of(file) == before:
        if len(_KNOWN_HASHES) >= MAX_KNOWN_HASHES:
            _KNOWN_HASHES.clear()
        _KNOWN_HASHES[before] = found
    return found


def _state_of(file: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


_KNOWN_HASHES: dict[tuple[int, ...], bytes] = {}


def _code_files(service: str, root: Path) -> Iterator[tuple[str, Path]]:
    own = ("enclave",) if service in HOST_RULES else ("enclave", "rules")
    parts = [root / "services" / service / part for part in own]
    if not parts[0].is_dir():
        raise NotMeasurable(f"{parts[0]} is missing: {service!r} has no enclave")
    parts += [root / "shared" / part for part in SHARED_PARTS]
    parts += [root / part for part in FURTHER_PARTS.get(service, ())]
    for part in parts:
        yield from _files_below(part, root)
    native = _package_directory(NATIVE_PACKAGE)
    for name, path in _files_below(native, native):
        yield f"{NATIVE_PACKAGE}/{name}", path


def _runtime_files(name: str, root: Path) -> dict[str, Path]:
    """
    Files of a runtime that is named `package` or `package:module`.

    Of a module the whole package in which it lies is measured, since it may import its neighbours.
    """
    package, _, module = name.partition(":")
    folder = root / "runtimes"
    parts = [folder / "__init__.py", folder / "native_state.py", folder / package]
    if module:
        path = root.joinpath(*module.split("."))
        parts.append(path if path.is_dir() else path.parent)
    for part in parts:
        if not part.exists():
            raise NotMeasurable(f"{part} is missing: there is no runtime {name!r}")
    return {name: path for part in parts for name, path in _files_below(part, root)}


def _files_below(part: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Files of a part, by their names from the root on. Much faster than `Path.rglob`."""
    if part.is_file():
        yield part.relative_to(root).as_posix(), part
        return
    for directory, below, files in os.walk(part):
        if IGNORED_DIRECTORY in below:
            below.remove(IGNORED_DIRECTORY)
        if files:
            path = Path(directory)
            inside = path.relative_to(root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            for name in files:
                yield f"{prefix}{name}", path / name


def _package_directory(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise NotMeasurable(f"the native package {package!r} is not installed: run `make native`")
    return Path(spec.origin).resolve().parent
