"""
The chain of ethereum/execution-apis with its request/response files, where they are.

Run as a module it writes how many there are, for docs/conformance.md; a test replays each.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.metrics_page import ROOT

DATA = Path(os.environ.get("QANAT_TEST_DATA", ROOT.parent / "shared" / "data"))
ARCHIVE = DATA / "execution-apis" / "tests.tar.xz"
ABSENT = f"no {ARCHIVE} (set QANAT_TEST_DATA)"
SCHEMA_ONLY = "speconly:"
COUNTS = ROOT / "tests" / "vectors" / "execution-apis-files.json"
SOURCE = "ethereum/execution-apis @ 033ca6e6, tests"


@dataclass(frozen=True)
class Exchange:
    """A request and what a client must answer."""

    request: dict[str, Any]
    response: dict[str, Any]


@dataclass(frozen=True)
class RecordedFile:
    """One `.io` file."""

    name: str
    """`method/case`."""
    is_schema_only: bool
    """Whether only the form of the answers counts."""
    exchanges: tuple[Exchange, ...]

    @property
    def method(self) -> str:
        """What it is about."""
        return self.name.partition("/")[0]


def unpack(folder: Path) -> Path:
    """Unpack the archive; give the folder of the chain and the files."""
    subprocess.run(["tar", "-xJf", ARCHIVE, "-C", folder], check=True)
    return folder / "tests"


def recorded_files(folder: Path) -> list[RecordedFile]:
    """Read every request/response file, in the order of their names."""
    return [_read(path) for path in sorted(folder.glob("*/*.io"))]


def _read(path: Path) -> RecordedFile:
    lines = path.read_text().splitlines()
    asked = [orjson.loads(line[3:]) for line in lines if line.startswith(">> ")]
    given = [orjson.loads(line[3:]) for line in lines if line.startswith("<< ")]
    comments = [line for line in lines if line.startswith("//")]
    return RecordedFile(
        name=f"{path.parent.name}/{path.stem}",
        is_schema_only=any(SCHEMA_ONLY in line for line in comments),
        exchanges=tuple(map(Exchange, asked, given)),
    )


def count(files: list[RecordedFile]) -> dict[str, dict[str, int]]:
    """How many files each method has, and how many of them are only about the form."""
    counts: dict[str, dict[str, int]] = {}
    for one in files:
        own = counts.setdefault(one.method, {"exact": 0, "form": 0})
        own["form" if one.is_schema_only else "exact"] += 1
    return counts


def differences(wanted: Any, given: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ."""
    if type(wanted) is not type(given):
        yield f"{path}: {wanted!r} is {given!r}"
    elif isinstance(wanted, dict):
        for name in sorted(wanted.keys() | given.keys()):
            if name not in wanted or name not in given:
                yield f"{path}.{name} is only in {'the file' if name in wanted else 'the answer'}"
            else:
                yield from differences(wanted[name], given[name], f"{path}.{name}")
    elif isinstance(wanted, list):
        if len(wanted) != len(given):
            yield f"{path}: {len(wanted)} items are {len(given)}"
        for at, pair in enumerate(zip(wanted, given, strict=False)):
            yield from differences(*pair, f"{path}[{at}]")
    elif wanted != given:
        yield f"{path}: {wanted!r} is {given!r}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        counts = count(recorded_files(unpack(Path(folder))))
    COUNTS.write_text(json.dumps({"source": SOURCE, "files": counts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
