"""
An enclave as it is loaded: the bytes that were measured, compiled, and nothing read twice.

`qanat.cpu.bootstrap` runs it in the new process.
"""

import functools
import hashlib
import marshal
import os
from contextlib import ExitStack
from pathlib import Path
from types import CodeType, TracebackType
from typing import Self

from qanat.cpu.bootstrap import Modules, Sources
from qanat.cpu.measurement import (
    NATIVE_PACKAGE,
    code_root,
    enclave_files,
    hash_bundle,
    hash_file,
)
from shared.tee.measurement import measure

NATIVE_SUFFIX = ".so"
BOOTSTRAP, FORK_SERVER = "qanat/cpu/bootstrap.py", "qanat/fork_server.py"
CODE_FOLDERS = frozenset({"runtimes", "services", "shared", NATIVE_PACKAGE})
"""Folders of what is imported; whatever else is measured is the program of a runtime."""
OPTIMIZE = 2
"""As `-OO` does: rules never rest on `assert`."""
FIRST_STEP = """\
import marshal, os, sys
for code in marshal.loads(os.read({fd}, {length})):
    exec(code)
start({fd}, sys.argv[1]{serve})
"""


class EnclaveImage:
    """The measured code of an enclave in an open file; close it when the process has started."""

    def __init__(
        self,
        service: str,
        config_path: Path,
        *,
        root: Path | None = None,
        bundle: bytes | None = None,
    ) -> None:
        """
        Read, measure and compile. `bundle` is the app's that the enclave is for.

        Raises
        ------
        NotMeasurable
            A part of the code is missing.
        """
        self._open = ExitStack()
        self.config = config = config_path.read_bytes()
        hashes: dict[str, bytes] = {}
        modules: Modules = {}
        sources: Sources = {}
        self._native: dict[str, int] = {}
        with ExitStack() as on_error:
            on_error.callback(self._open.close)
            for name, path in enclave_files(service, config, root or code_root()).items():
                file = self._open.enter_context(path.open("rb"))
                if path.suffix == NATIVE_SUFFIX:
                    hashes[name] = hash_file(file)
                    self._native[_native_name(name)] = file.fileno()
                    continue
                content = file.read()
                hashes[name] = hashlib.sha256(content).digest()
                file.close()
                if path.suffix != ".py":
                    continue
                module, is_package = _module_name(name)
                if name.partition("/")[0] not in CODE_FOLDERS:
                    # A program: the runtime reads its text, and nothing imports it.
                    sources[module] = name, is_package, content.decode(errors="replace")
                else:
                    modules[module] = name, is_package, _compile(name, content)
            first = marshal.dumps((_own_code(FORK_SERVER), _own_code(BOOTSTRAP)))
            self._code = self._open.enter_context(
                os.fdopen(os.memfd_create("enclave code", os.MFD_CLOEXEC), "w+b")
            )
            self._code.write(first)
            self._code.write(marshal.dumps((modules, self._native, sources)))
            self._code.flush()
            self._code.seek(0)
            on_error.pop_all()
        self.bundle = bundle
        self.identity = measure(hashes | hash_bundle(bundle), config)
        self.code_hash = measure(hashes, b"").mr_enclave
        """Tells code apart whatever its configuration; names no enclave."""
        self.main = f"services.{service}.enclave"
        self._first_bytes = len(first)

    @property
    def files(self) -> tuple[int, ...]:
        """Descriptors that the new process inherits."""
        return (self._code.fileno(), *self._native.values())

    def arguments(self, *, forks: bool = False) -> tuple[str, ...]:
        """Arguments of the interpreter; the last one is for people that look at processes."""
        # -OO: neither `assert` nor docstrings, as the measured code is compiled.
        # -P, -s: only the measured code, the standard library and site-packages can be imported.
        first = FIRST_STEP.format(
            fd=self._code.fileno(), length=self._first_bytes, serve=", serve" if forks else ""
        )
        return ("-OO", "-P", "-s", "-c", first, self.main)

    def close(self) -> None:
        """Close the files here; a process that was started has its own."""
        self._open.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()


def _module_name(path: str) -> tuple[str, bool]:
    """Name of the module at a measured path, and whether it is a package."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def _native_name(path: str) -> str:
    """Name of a native module, such as `package._native` of `package/_native.abi3.so`."""
    *packages, file = path.split("/")
    return ".".join((*packages, file.partition(".")[0]))


@functools.lru_cache(maxsize=1024)
def _compile(name: str, source: bytes) -> bytes:
    # Kept, because all enclaves of a network run nearly the same code.
    return marshal.dumps(compile(source, name, "exec", dont_inherit=True, optimize=OPTIMIZE))


@functools.cache
def _own_code(name: str) -> CodeType:
    path = Path(__file__).parents[2] / name
    return compile(path.read_bytes(), str(path), "exec", dont_inherit=True, optimize=OPTIMIZE)
