"""
Reads a ParaTime's program from its text, verified and instrumented.

The interpreter's own import is not used: it would run what is cached, and run it with everything
that Python has. A program sees the SDK, three modules of the standard library, and itself.
"""

import builtins
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtimes.python import metering, sdk
from runtimes.python.determinism import SDK, read_program
from runtimes.python.module import BadModule, ParaTime

ENTRY = "PARATIME"
"""What a program's module must define."""
_LIBRARY: dict[str, types.ModuleType] = {
    SDK: sdk,
    "dataclasses": dataclasses,
    "enum": enum,
    "typing": typing,
}
_BUILTINS = (
    *("abs", "all", "any", "bool", "bytes", "dict", "divmod", "enumerate", "filter", "int"),
    *("isinstance", "len", "list", "map", "max", "min", "next", "reversed", "sorted", "str"),
    *("sum", "tuple", "zip", "KeyError", "IndexError", "TypeError", "ValueError"),
    "ZeroDivisionError",
)


def load_paratime(module: str, root: Path | None = None) -> ParaTime:
    """
    Load the program that a module, or package, holds.

    Parameters
    ----------
    module : `str`
        Such as `examples.sealed_notes`.
    root : `Path`, optional
        Directory that it lies below. None reads what was measured with the enclave; outside of one,
        in tests and tools, the directory that holds `runtimes`.

    Raises
    ------
    NotDeterministic, BadModule
        See each class; also where there is no such module.
    """
    program = Program(module, _find_texts(root))
    found = program.load(module).__dict__.get(ENTRY)
    if not isinstance(found, ParaTime):
        raise BadModule(f"{module} defines no {ENTRY} = ParaTime(…)")
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """The text of one module."""

    path: str
    """How messages name it."""
    is_package: bool
    text: str


FindText = Callable[[str], Text | None]


def _find_texts(root: Path | None) -> FindText:
    if root is None:
        for finder in sys.meta_path:
            # `qanat.cpu.bootstrap.MeasuredCode`: an enclave reads nothing from the disk.
            measured = getattr(finder, "program", None)
            if measured is not None:
                return lambda name: Text(*measured[name]) if name in measured else None
        root = Path(__file__).resolve().parents[2]
    return lambda name: _read_file(root, name)


def _read_file(root: Path, name: str) -> Text | None:
    base = root.joinpath(*name.split("."))
    for path, is_package in ((base / "__init__.py", True), (base.with_suffix(".py"), False)):
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            shown = path.relative_to(root).as_posix()
            return Text(shown, is_package, path.read_text(encoding="utf-8"))
    return None


class Program:
    """The modules of one program, each loaded once."""

    def __init__(self, entry: str, find_text: FindText) -> None:
        """Take the package of the entry for the program's own."""
        self._find_text = find_text
        found = find_text(entry)
        is_package = found is not None and found.is_package
        self._package = entry if is_package else entry.rpartition(".")[0] or entry
        self._loaded: dict[str, types.ModuleType] = {}

    def load(self, name: str) -> types.ModuleType:
        """Give a module of the program."""
        module = self._loaded.get(name)
        if module is not None:
            return module
        found = self._find_text(name)
        if found is None:
            raise BadModule(f"there is no module {name}")
        tree = metering.instrument(read_program(found.text, found.path, self._package))
        # Under a name that no import finds; dataclasses look their module up.
        module = types.ModuleType(f"paratime program {name}")
        sys.modules[module.__name__] = module
        self._loaded[name] = module
        module.__dict__["__builtins__"] = self._builtins()
        module.__dict__.update(metering.HOOKS)
        # Alike under every flag of the interpreter: `assert` counts.
        code = compile(tree, found.path, "exec", dont_inherit=True, optimize=0)
        exec(code, module.__dict__)  # noqa: S102 - verified
        return module

    def _builtins(self) -> dict[str, Any]:
        allowed: dict[str, Any] = {name: getattr(builtins, name) for name in _BUILTINS}
        allowed |= {"None": None, "True": True, "False": False}
        allowed["range"], allowed["pow"] = metering.bounded_range, metering.power
        allowed["__build_class__"] = builtins.__build_class__
        allowed["__name__"] = "paratime"
        allowed["__import__"] = self._import
        return allowed

    def _import(
        self,
        name: str,
        _globals: object = None,
        _locals: object = None,
        _names: object = (),
        _level: int = 0,
    ) -> types.ModuleType:
        """Give what a verified `from … import …` names."""
        return _LIBRARY.get(name) or self.load(name)
