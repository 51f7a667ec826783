"""Tables from files: one a contributor, whose name is the file's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apps.data_market.arrays import Contribution, LabelledRows
from apps.data_market.errors import BadTable, PersonalData, TooLarge
from apps.data_market.intake.table import MAX_TABLE_BYTES, Schema, Table, read_table
from apps.data_market.limits import MAX_CONTRIBUTORS, MAX_ROWS

MAX_JOB_BYTES = 256 << 20
"""All files of one job together."""


@dataclass(frozen=True, slots=True, eq=False)
class JobTables:
    """What the files of a job hold."""

    schema: Schema
    validation: LabelledRows
    contributions: tuple[Contribution, ...]
    """By name."""


def read_job(contributors: Path, validation: Path, label: str) -> JobTables:
    """
    Read the files of a job.

    Parameters
    ----------
    contributors : `Path`
        A folder; each file in it whose name ends in .csv is a contributor's, unless it is hidden.
    validation : `Path`
        The owner's rows; their columns and labels are the schema.
    label : `str`
        Which column is the label.

    Raises
    ------
    BadTable, PersonalData
        A file is not there, is no table of the schema, or says who somebody is; the message begins
        with its name.
    TooLarge
        Too many files, bytes or rows.
    """
    owners = _table(validation, label)
    with _named(validation):
        schema = Schema.of(owners)
    files = list_contributors(contributors)
    contributions = []
    total_bytes = total_rows = 0
    for file in files:
        total_bytes += file.stat().st_size
        if total_bytes > MAX_JOB_BYTES:
            raise TooLarge(f"{contributors.name}: more than {MAX_JOB_BYTES} bytes together")
        table = _table(file, label)
        with _named(file):
            rows = schema.rows_of(table)
        total_rows += len(rows)
        if total_rows > MAX_ROWS:
            raise TooLarge(f"{contributors.name}: more than {MAX_ROWS} rows together")
        contributions.append(Contribution(file.stem, rows))
    return JobTables(schema, schema.rows_of(owners), tuple(contributions))


def list_contributors(folder: Path) -> Sequence[Path]:
    """Find the files of a folder, one a contributor, by name. Raises `BadTable`, `TooLarge`."""
    if not folder.is_dir():
        raise BadTable(f"{folder}: no such folder")
    # Hidden ones are of programs, such as what macOS writes beside each file of others.
    listed = (path for path in folder.iterdir() if not path.name.startswith("."))
    files = sorted(path for path in listed if path.suffix.lower() == ".csv")
    if not files:
        raise BadTable(f"{folder}: no file whose name ends in .csv")
    if len(files) > MAX_CONTRIBUTORS:
        raise TooLarge(f"{folder}: {len(files)} contributors, at most {MAX_CONTRIBUTORS}")
    stems = [file.stem for file in files]
    if len(set(stems)) != len(stems):
        raise BadTable(f"{folder}: two files have one name")
    return files


def read_file(file: Path) -> bytes:
    """Read a table's bytes, one more than a table may have at most. Raises `BadTable`."""
    # What is no file, such as a pipe, would be waited for.
    if not file.is_file():
        raise BadTable(f"{file}: {'no file to read' if file.exists() else 'no such file'}")
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise BadTable(f"{file}: {error.strerror}") from error


def _table(file: Path, label: str) -> Table:
    raw = read_file(file)
    with _named(file):
        return read_table(raw, label)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Begin what is said against a table with the name of its file."""
    try:
        yield
    except (BadTable, PersonalData, TooLarge) as error:
        raise type(error)(f"{file.name}: {error.message}") from error
