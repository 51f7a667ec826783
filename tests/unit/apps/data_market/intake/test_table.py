"""Tables that nobody has checked are read within limits, and refused by line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.data_market.errors import BadTable, TooLarge
from apps.data_market.intake import table as tables
from apps.data_market.intake.table import Schema, read_table

GOOD = b"a,b,kind\n1,2.5,x\n-3e2,.5,y\n"


def test_numbers_and_labels_are_read() -> None:
    found = read_table(GOOD, "kind")
    assert found.features == ("a", "b")
    assert found.numbers.tolist() == [[1.0, 2.5], [-300.0, 0.5]]
    assert found.labels == ("x", "y")


def test_the_label_may_stand_anywhere_and_names_may_be_quoted() -> None:
    found = read_table(b'\xef\xbb\xbf"kind","a ""b""",c\r\n"x, y",1,2\r\n\r\nz,3,4\r\n', "kind")
    assert found.features == ('a "b"', "c")
    assert found.labels == ("x, y", "z")
    assert found.numbers.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"a,kind\n",
        b"kind\nx\n",
        b"a,b\n1,2\n",
        b"a,a,kind\n1,2,x\n",
        b"a,,kind\n1,2,x\n",
        b"a,kind\n1\n",
        b"a,kind\n1,2,x\n",
        b"a,kind\n,x\n",
        b"a,kind\n1,\n",
        b"a,kind\nnan,x\n",
        b"a,kind\ninf,x\n",
        b"a,kind\n1e999,x\n",
        b"a,kind\n1e200,x\n",
        b"a,kind\n1_0,x\n",
        b"a,kind\n0x10,x\n",
        "a,kind\n\N{ARABIC-INDIC DIGIT ONE},x\n".encode(),
        b"a,kind\nalice@example.org,x\n",
        b"a,kind\n" + b"1" * 65 + b",x\n",
        b"a,kind\n1," + b"x" * 65 + b"\n",
        b'a,kind\n"1,x\n',
        b"a,kind\n\xff,x\n",
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_table_is_refused(raw) -> None:
    with pytest.raises(BadTable):
        read_table(raw, "kind")


def test_a_refusal_names_the_line_and_no_cell() -> None:
    with pytest.raises(BadTable) as caught:
        read_table(b"a,kind\n1,x\nsecret-canary,y\n", "kind")
    assert "row 2" in caught.value.message
    assert "canary" not in caught.value.message


def test_limits_hold(monkeypatch) -> None:
    with pytest.raises(TooLarge):
        read_table(b"a" * (tables.MAX_TABLE_BYTES + 1), "kind")
    columns = b",".join(b"c%d" % at for at in range(tables.MAX_FEATURES + 1))
    with pytest.raises(TooLarge):
        read_table(columns + b",kind\n", "kind")
    monkeypatch.setattr(tables, "MAX_TABLE_ROWS", 2)
    with pytest.raises(TooLarge):
        read_table(b"a,kind\n1,x\n2,x\n3,x\n", "kind")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw) -> None:
    try:
        found = read_table(b"a,kind\n" + raw, "kind")
    except (BadTable, TooLarge):
        return
    assert np.isfinite(found.numbers).all()
    assert found.numbers.shape == (len(found.labels), 1)


def test_columns_of_any_order_are_brought_into_the_schemas() -> None:
    schema = Schema.of(read_table(GOOD, "kind"))
    rows = schema.rows_of(read_table(b"kind,b,a\ny,1,2\n", "kind"))
    assert rows.features.tolist() == [[2, 1]]
    assert rows.labels.tolist() == [1]


@pytest.mark.parametrize("raw", [b"a,kind\n1,x\n", b"a,b,c,kind\n1,2,3,x\n", b"a,b,kind\n1,2,z\n"])
def test_what_does_not_fit_the_schema_is_refused(raw) -> None:
    with pytest.raises(BadTable):
        Schema.of(read_table(GOOD, "kind")).rows_of(read_table(raw, "kind"))


def test_a_validation_set_has_two_labels_and_not_too_many() -> None:
    with pytest.raises(BadTable):
        Schema.of(read_table(b"a,kind\n1,x\n2,x\n", "kind"))
    rows = b"".join(b"1,k%d\n" % at for at in range(257))
    with pytest.raises(TooLarge):
        Schema.of(read_table(b"a,kind\n" + rows, "kind"))
