"""
Which files are an enclave's code, and their measurement.

The list is the trusted base: the service's `enclave/` and the rules that it imports, the shared
layers that enclaves may import, the native module, and for compute the runtime that the
configuration names. Third-party packages and the interpreter are not measured;
`docs/services/enclave.md` says so.
"""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import shared
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.tee.config import EnclaveConfig
from shared.tee.measurement import measure
from shared.types.attestation import EnclaveIdentity

EnclaveService = Literal["compute", "keymanager"]

SHARED_PARTS = ("errors.py", "encoding", "crypto", "types", "tee", "rules", "enclave")
HOST_RULES = {"compute"}
"""Services whose `rules/` are the host's alone."""
NATIVE_PACKAGE = "evm_native"
"""What every enclave loads beside Python: records are read natively, and the EVM runs there."""
IGNORED_DIRECTORY = "__pycache__"


class NotMeasurable(Rejected, module="cpu", code=1):
    """Code of the enclave is not there, so it can neither be measured nor run."""


def code_root() -> Path:
    """Directory that holds `shared` and `services`: the one the enclaves run from."""
    return Path(str(shared.__file__)).resolve().parents[1]


def measure_enclave(service: str, config: bytes, *, root: Path | None = None) -> EnclaveIdentity:
    """
    Measure an enclave's files as they are now, and its configuration.

    Raises
    ------
    NotMeasurable
        A part of the code is missing, such as a native package that is not installed.
    """
    paths = enclave_files(service, config, root or code_root())
    return measure(_hashes(paths), config)


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
    return {name: hashlib.sha256(path.read_bytes()).digest() for name, path in paths.items()}


def _code_files(service: str, root: Path) -> Iterator[tuple[str, Path]]:
    own = ("enclave",) if service in HOST_RULES else ("enclave", "rules")
    parts = [root / "services" / service / part for part in own]
    if not parts[0].is_dir():
        raise NotMeasurable(f"{parts[0]} is missing: {service!r} has no enclave")
    parts += [root / "shared" / part for part in SHARED_PARTS]
    for part in parts:
        for path in _files_below(part):
            yield path.relative_to(root).as_posix(), path
    native = _package_directory(NATIVE_PACKAGE)
    for path in _files_below(native):
        yield f"{NATIVE_PACKAGE}/{path.relative_to(native).as_posix()}", path


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
    return {p.relative_to(root).as_posix(): p for part in parts for p in _files_below(part)}


def _files_below(part: Path) -> Iterator[Path]:
    if part.is_file():
        yield part
        return
    for path in part.rglob("*"):
        if path.is_file() and IGNORED_DIRECTORY not in path.parts:
            yield path


def _package_directory(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise NotMeasurable(f"the native package {package!r} is not installed: run `make native`")
    return Path(spec.origin).resolve().parent
