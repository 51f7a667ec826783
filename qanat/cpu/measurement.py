"""
Which files are an enclave's code, and their measurement.

The list is the trusted base: the service's `enclave/` and `rules/`, the shared layers that enclaves
may import, and for compute the native core. Third-party packages and the interpreter are not
measured; `docs/services/enclave.md` says so.
"""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import shared
from shared.errors import Rejected
from shared.tee.measurement import measure
from shared.types.attestation import EnclaveIdentity

EnclaveService = Literal["compute", "keymanager"]

SHARED_PARTS = ("errors.py", "encoding", "crypto", "types", "tee", "rules")
NATIVE_PACKAGES: dict[str, tuple[str, ...]] = {"compute": ("evm_native",)}
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
    files = {
        name: hashlib.sha256(path.read_bytes()).digest()
        for name, path in _code_files(service, root or code_root())
    }
    return measure(files, config)


def _code_files(service: str, root: Path) -> Iterator[tuple[str, Path]]:
    parts = [root / "services" / service / part for part in ("enclave", "rules")]
    if not parts[0].is_dir():
        raise NotMeasurable(f"{parts[0]} is missing: {service!r} has no enclave")
    parts += [root / "shared" / part for part in SHARED_PARTS]
    for part in parts:
        for path in _files_below(part):
            yield path.relative_to(root).as_posix(), path
    for package in NATIVE_PACKAGES.get(service, ()):
        directory = _package_directory(package)
        for path in _files_below(directory):
            yield f"{package}/{path.relative_to(directory).as_posix()}", path


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
