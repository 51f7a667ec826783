"""Columns and labels by which persons are known are refused, and ordinary numbers are not."""

import random

import pytest
from stdnum import luhn
from stdnum.nl import bsn
from stdnum.tr import tckimlik

from apps.data_market.errors import BadTable, PersonalData
from apps.data_market.intake.personal import LEAST_NUMBERS, kind_of_file
from apps.data_market.intake.table import read_table

CHANCE = random.Random(7)


def table(column, name="x", labels=("a", "b")) -> bytes:
    lines = [f"{name},kind", *(f"{cell},{labels[at % 2]}" for at, cell in enumerate(column))]
    return "\n".join(lines).encode()


def whole(digits: int) -> str:
    return str(CHANCE.randrange(10 ** (digits - 1), 10**digits))


def cards(count: int) -> list[str]:
    heads = [whole(15) for _ in range(count)]
    return [one + luhn.calc_check_digit(one) for one in heads]


def valid(module, digits: int, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        one = whole(digits)
        if module.is_valid(one):
            found.append(one)
    return found


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (cards(40), "payment cards"),
        (valid(bsn, 9, 40), "BSN"),
        (valid(tckimlik, 11, 40), "Turkish"),
        # A few wrong ones, and cells that are no such number, hide nothing.
        ([*cards(40), whole(16), "0.5", "1e3"], "payment cards"),
    ],
)
def test_a_column_of_such_numbers_is_refused_by_its_name(column, kind) -> None:
    with pytest.raises(PersonalData, match=f"column insured holds .*{kind}") as caught:
        read_table(table(column, "insured"), "kind")
    assert not any(cell in caught.value.message for cell in column if len(cell) > 4)


@pytest.mark.parametrize("digits", range(9, 20))
def test_other_numbers_of_the_same_length_are_taken(digits) -> None:
    column = [whole(digits) for _ in range(200)]
    assert len(read_table(table(column), "kind").labels) == 200


@pytest.mark.parametrize(
    "column",
    [
        [f"{CHANCE.gauss(0, 1):.6f}" for _ in range(100)],
        [str(at % 17) for at in range(100)],
        ["0000000000000000"] * 100,
        [str(1_700_000_000 + 60 * at) for at in range(100)],
        [str(1_700_000_000_000 + 1000 * at) for at in range(100)],
        [str(at * 10**9) for at in range(100)],
        cards(LEAST_NUMBERS - 1),
    ],
)
def test_what_features_usually_are_is_taken(column) -> None:
    read_table(table(column), "kind")


@pytest.mark.parametrize("label", ["ana@example.org", "GB82 WEST 1234 5698 7654 32"])
def test_labels_by_which_somebody_is_known_are_refused(label) -> None:
    with pytest.raises(PersonalData, match="a label is an") as caught:
        read_table(table(["1", "2"], labels=(label, "b")), "kind")
    assert label not in caught.value.message


@pytest.mark.parametrize(
    "label", ["@", "a@b", "at @ work", "GB00", "x@.", "@example.org", 'x"@(', "a@[", '<x"a@b']
)
def test_labels_that_only_look_so_are_taken(label) -> None:
    read_table(table(["1", "2"], labels=(label, "b")), "kind")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"%PDF-1.7\n1 0 obj\n", "Portable Document"),
        (b"\x89PNG\r\n\x1a\n\0\0\xff", "Portable Network Graphics"),
        (b"SQLite format 3\0" + b"\0" * 80 + b"\xff", "SQLite"),
    ],
)
def test_a_file_of_another_kind_is_named(raw, kind) -> None:
    with pytest.raises(BadTable, match=f"it seems to be a .*{kind}"):
        read_table(raw, "kind")


@pytest.mark.parametrize("head", ["BM", "MZ", "ID3"])
def test_a_table_that_begins_as_other_files_do_is_a_table(head) -> None:
    assert kind_of_file(f"{head},kind".encode())
    assert len(read_table(table(["1", "2"], head), "kind").labels) == 2
