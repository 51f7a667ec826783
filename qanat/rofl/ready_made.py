"""
Apps that come with this project, as the directory of a bundle: a program, and all that it imports
of this project, so that an enclave's measurement says which code answers.

Interpreter and packages are the worker's; the base install has not all that these need.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qanat.options import ROOT
from qanat.rofl.template import APP_FILE
from shared.errors import Rejected

OURS = ("apps", "shared")
"""Packages that a bundle brings along; nothing of an app imports others of this project."""
SOURCE = "source"
"""Their folder: beside `main.py` they would hide the project's own from commands that run there."""
DATA = "contracts/artifacts/*.json"
"""What an app reads beside its modules, in its own folder."""
_PROGRAM = '''\
"""What every instance runs; its options are the app's secrets: `python -m {module} --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "source"))

if __name__ == "__main__":
    from {module} import main

    main()
'''


class UnknownProgram(Rejected, module="rofl_cli", code=10):
    """No app of this name comes with the project."""


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """An app that comes with this project."""

    module: str
    """Its `main` is run."""
    memory_mib: int


PROGRAMS = {
    "data-market": ReadyMade("apps.data_market.worker.__main__", 4096),
    "inference": ReadyMade("apps.inference.__main__", 2048),
    "knowledge": ReadyMade("apps.knowledge.__main__", 2048),
}


def find_program(name: str) -> ReadyMade:
    """Find an app by its name, or raise `UnknownProgram`."""
    try:
        return PROGRAMS[name]
    except KeyError:
        raise UnknownProgram(f"no program {name!r}: there are {', '.join(PROGRAMS)}") from None


def write_program(directory: Path, program: ReadyMade) -> int:
    """Write `main.py` and what it imports of this project; gives the number of files."""
    files = {APP_FILE: _PROGRAM.format(module=program.module).encode()}
    for path in sources_of(program.module):
        files[f"{SOURCE}/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return len(files)


def sources_of(module: str) -> list[Path]:
    """
    Give the files of a module and of all that it may import of this project, sorted.

    Read from the sources, so what is imported late or for types is there as well.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        parts = waiting.pop().split(".")
        for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            path = _file_of(name)
            if path is not None and name not in found:
                found[name] = path
                waiting.extend(_imports(path))
    folders = {ROOT.joinpath(*name.split(".")[:2]) for name in found if name.startswith("apps.")}
    data = {one for folder in folders for one in folder.glob(DATA)}
    return sorted({*found.values(), *data})


def _file_of(name: str) -> Path | None:
    if name.partition(".")[0] not in OURS:
        return None
    place = ROOT.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import():
                yield from (one.name for one in node.names)
            case ast.ImportFrom(module=str(source)):
                # A name of a package may be a module of it.
                yield from (f"{source}.{one.name}" for one in node.names)
            case _:
                pass
