import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.encoding.quantity import encode_quantity


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, b""), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80"), (255, b"\xff"), (256, b"\x01\x00")],
)
def test_numbers_take_the_fewest_bytes(number: int, expected: bytes) -> None:
    assert encode_quantity(number) == expected


@given(st.integers(0, 2**256 - 1))
def test_every_number_comes_back_and_begins_with_no_zero(number: int) -> None:
    encoded = encode_quantity(number)
    assert int.from_bytes(encoded, "big") == number
    assert not encoded.startswith(b"\0")


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(OverflowError):
        encode_quantity(-1)
