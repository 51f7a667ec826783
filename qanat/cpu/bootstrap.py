"""
The first code in an enclave's process: lets it import what was measured, and nothing else of ours.

The launcher compiles the bytes that it measured and hands the result over in a file without a name.
So no file that changed since, and no `__pycache__`, takes part; on hardware the CPU measures pages
while it loads them, for the same reason. The interpreter, the standard library and third-party
packages come from the disk.

This module is not imported by the enclave: its compiled code comes first in that file. It may use
the standard library only.
"""

import gc
import importlib
import marshal
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

Modules = dict[str, tuple[str, bool, bytes]]
"""By name: path at which it was measured, whether it is a package, marshalled code."""


Sources = dict[str, tuple[str, bool, str]]
"""By name: path at which it was measured, whether it is a package, text."""


QUOTE_VERIFIER = "dcap_qvl"
"""A library that measured code loads when it first verifies a quote; a fork server does before."""


class MeasuredCode(MetaPathFinder, InspectLoader):
    """Finds modules among the measured ones; a package that has none of its own is empty."""

    def __init__(self, modules: Modules, native: Mapping[str, int], sources: Sources) -> None:
        self._modules, self._native = modules, native
        self.program = sources
        """Text of a ParaTime's program, for the runtime that reads it; nothing imports it."""
        self._packages = {
            name.rsplit(".", level)[0]
            for name in (*modules, *native)
            for level in range(1, name.count(".") + 1)
        }
        self._ours = {name.partition(".")[0] for name in (*modules, *native, *sources)}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the importer's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find a module; one of our names that was not measured is not there."""
        if fullname in self._native:
            # The very file that was hashed, whatever its name leads to by now.
            location = f"/proc/self/fd/{self._native[fullname]}"
            loader = ExtensionFileLoader(fullname, location)
            return spec_from_file_location(fullname, location, loader=loader)
        if fullname in self._modules:
            origin, is_package, _ = self._modules[fullname]
            return ModuleSpec(fullname, self, origin=origin, is_package=is_package)
        if fullname in self._packages:
            return ModuleSpec(fullname, self, is_package=True)
        if fullname.partition(".")[0] in self._ours:
            raise ModuleNotFoundError(f"{fullname} was not measured", name=fullname)
        return None

    def get_code(self, fullname: str) -> CodeType | None:
        """Give the code that was compiled from the measured bytes."""
        if fullname not in self._modules:
            return None
        code: CodeType = marshal.loads(self._modules[fullname][2])  # noqa: S302 - the launcher's
        return code

    def get_source(self, fullname: str) -> str | None:  # noqa: ARG002
        """Give nothing: tracebacks name lines, and nobody else needs it."""
        return None

    def is_package(self, fullname: str) -> bool:
        """Say whether a module has others below it."""
        return fullname in self._packages or self._modules[fullname][1]

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code; a package without any is empty."""
        code = self.get_code(module.__name__)
        if code is not None:
            exec(code, module.__dict__)  # noqa: S102 - what a loader does


def start(code_fd: int, main: str, serve: Callable[[socket.socket], None] | None = None) -> None:
    """
    Take over the measured code from an open file, and run a package's `__main__`.

    Parameters
    ----------
    code_fd : `int`
        The file, which is closed here.
    main : `str`
        The package.
    serve : `Callable`, optional
        Of `qanat.fork_server`: load all that was measured, and run in each process that is forked.
    """
    with os.fdopen(code_fd, "rb", closefd=True) as code:
        modules, native, sources = marshal.load(code)  # noqa: S302 - the launcher's
    finder = MeasuredCode(modules, native, sources)
    sys.meta_path.insert(0, finder)
    # Now, because an enclave that has confined itself cannot open `/proc/self/fd`.
    for name, fd in native.items():
        importlib.import_module(name)
        os.close(fd)
    if serve is not None:
        gc.disable()
        for name in (*modules, QUOTE_VERIFIER):
            if not name.endswith(".__main__"):
                importlib.import_module(name)
        gc.enable()
        serve(socket.socket(fileno=0))
    program = ModuleType("__main__")
    sys.modules["__main__"] = program
    run = finder.get_code(f"{main}.__main__")
    if run is None:
        raise ModuleNotFoundError(f"{main}.__main__ was not measured")
    exec(run, program.__dict__)  # noqa: S102 - as `python -m` does
