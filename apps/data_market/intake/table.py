"""
Tables of numbers with one column of labels, read from bytes that nobody has checked.

A cell is a finite decimal number and a label a short text; everything else is refused with its
row. What a message quotes is column names and rows, never a cell: a message may be logged. Rows are
counted from 1 below the header; a quoted label may hold line breaks.
"""

import csv
import io
import re
from array import array
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Floats, Integers, LabelledRows
from apps.data_market.errors import BadTable, TooLarge
from apps.data_market.intake.personal import SAMPLED_ROWS, kind_of_file, verify_not_personal
from apps.data_market.limits import MAX_CLASSES, MAX_FEATURES
from apps.data_market.value.quantize import LARGEST

MAX_TABLE_BYTES = 32 << 20
"""Largest file."""
MAX_TABLE_ROWS = 200_000
"""Most rows of one file."""
MAX_CELL = 64
"""Longest number, label or column name [characters]."""
SHOWN_COLUMNS = 5
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Schema:
    """What every table of a job has alike, taken from the validation set."""

    label: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    """Labels, sorted."""

    @classmethod
    def of(cls, table: "Table") -> "Schema":
        """Take the schema of a validation set. Raises `BadTable`, `TooLarge`."""
        classes = tuple(sorted(set(table.labels)))
        if len(classes) < 2:
            raise BadTable(f"column {table.label}: one label only, and a model tells two apart")
        if len(classes) > MAX_CLASSES:
            raise TooLarge(f"column {table.label}: more than {MAX_CLASSES} labels")
        return cls(table.label, table.features, classes)

    def rows_of(self, table: "Table") -> LabelledRows:
        """
        Bring a table's columns into the schema's order, and its labels to classes.

        Raises
        ------
        BadTable
            Other columns, or a label that the validation set does not have.
        """
        missing = sorted(set(self.features) - set(table.features))
        beyond = sorted(set(table.features) - set(self.features))
        if missing or beyond:
            wrong = [f"there is no column {_some(missing)}"] if missing else []
            wrong += [f"too many is {_some(beyond)}"] if beyond else []
            raise BadTable(f"columns are those of the validation set, and {' and '.join(wrong)}")
        numbers = {name: at for at, name in enumerate(self.classes)}
        for row, label in enumerate(table.labels):
            if label not in numbers:
                raise BadTable(
                    f"row {row + 1}, column {table.label}: the validation set has no such label, "
                    "so leave the row out"
                )
        order = [table.features.index(name) for name in self.features]
        labels: Integers = np.array([numbers[label] for label in table.labels], dtype=np.int64)
        return LabelledRows(table.numbers[:, order], labels)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it was read."""

    label: str
    features: tuple[str, ...]
    numbers: Floats
    """Rows x features."""
    labels: tuple[str, ...]


def read_table(raw: bytes, label: str) -> Table:
    """
    Read CSV with a header line: UTF-8, comma, double quotes.

    Parameters
    ----------
    raw : `bytes`
        The file.
    label : `str`
        Name of the column of labels; every other column is a feature.

    Returns
    -------
    table : `Table`
        At least one row and one feature.

    Raises
    ------
    BadTable
        No text, no header, no such column, no rows, a line of another length, a cell that is no
        finite number, a label that is empty.
    TooLarge
        More bytes, rows, columns or characters a cell than the market takes.
    PersonalData
        A column or label by which persons are known.
    """
    if len(raw) > MAX_TABLE_BYTES:
        raise TooLarge(f"{len(raw)} bytes: at most {MAX_TABLE_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = raw.count(b"\n", 0, error.start) + 1
        raise BadTable(f"line {at}: no text in UTF-8{_seems(raw) or ', save it so'}") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    # Eight bytes a number: a file of its largest size does not become a gigabyte of objects.
    numbers = array("d")
    labels: list[str] = []
    sample: list[list[str]] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        column = _label_column(header, label, raw)
        names = header[:column] + header[column + 1 :]
        for line in lines:
            if not line:
                continue
            row = len(labels) + 1
            if row > MAX_TABLE_ROWS:
                raise TooLarge(f"more than {MAX_TABLE_ROWS} rows")
            if len(line) != len(header):
                raise BadTable(f"row {row} has {len(line)} cells, and the header {len(header)}")
            labels.append(_label(line.pop(column), row))
            numbers.extend(_number(cell, row, names, at) for at, cell in enumerate(line))
            if row <= SAMPLED_ROWS:
                sample.append(line)
    except csv.Error as error:
        raise BadTable(
            f"row {len(labels) + 1} or one below it: no CSV, a double quote is open or amid a cell "
            f"({error})"
        ) from error
    if not labels:
        raise BadTable("no rows below the header")
    features = tuple(names)
    verify_not_personal(features, sample, labels)
    cells = np.frombuffer(numbers, dtype=np.float64).reshape(len(labels), len(features))
    return Table(label, features, cells, tuple(labels))


def _seems(raw: bytes) -> str:
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return ": it seems to be UTF-16, as Excel saves it"
    kind = kind_of_file(raw)
    return f": it seems to be a {kind}" if kind else ""


def _label_column(header: list[str], label: str, raw: bytes) -> int:
    if not header:
        raise BadTable("the file is empty")
    if len(header) > MAX_FEATURES + 1:
        raise TooLarge(f"{len(header)} columns: at most {MAX_FEATURES + 1}")
    if any(not name or len(name) > MAX_CELL for name in header):
        raise BadTable(
            f"a column's name is empty or longer than {MAX_CELL} characters"
            f"{_other_comma(header, label) or _seems(raw)}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadTable(f"two columns have one name: {_some(twice)}")
    if label not in header:
        why = _other_comma(header, label) or _seems(raw) or _instead(header)
        raise BadTable(f"no column {label[:MAX_CELL]!r}{why}")
    if len(header) < 2:
        raise BadTable("no column beside the label")
    return header.index(label)


def _some(names: list[str]) -> str:
    """Name a few of many columns."""
    beyond = len(names) - SHOWN_COLUMNS
    return ", ".join(names[:SHOWN_COLUMNS]) + (f" and {beyond} more" if beyond > 0 else "")


def _instead(header: list[str]) -> str:
    """Say what columns there are; where there is no header, the first row is nobody's to see."""
    if any(NUMBER.fullmatch(name) for name in header):
        return ": the first line has numbers, and has to be the names of the columns"
    return f": there are {_some(header)}"


def _other_comma(header: list[str], label: str) -> str:
    """Say what parts the columns, where that is no comma."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if label in (cell.strip() for cell in mark.join(header).split(mark)):
            return f": {name} part the columns, where commas have to"
    return ""


def _label(cell: str, row: int) -> str:
    label = cell.strip()
    if not label or len(label) > MAX_CELL:
        raise BadTable(f"row {row} has a label that is empty or longer than {MAX_CELL} characters")
    return label


def _number(cell: str, row: int, names: list[str], at: int) -> float:
    text = cell.strip()
    # Python's own reader takes more: underscores, infinities, digits of other scripts.
    if len(text) > MAX_CELL or NUMBER.fullmatch(text) is None:
        raise BadTable(
            f"row {row}, column {names[at]}: no finite decimal number, so fill it in or leave "
            "the row out"
        )
    number = float(text)
    if not abs(number) <= LARGEST:
        raise BadTable(f"row {row}, column {names[at]}: a number beyond {LARGEST:g}")
    return number
