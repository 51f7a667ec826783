"""The protobuf encodings that CometBFT hashes and signs."""

import pytest

from shared.encoding import protobuf


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02")]
)
def test_varints_have_the_documented_form(value, encoded):
    # Source: protobuf.dev/programming-guides/encoding, "Base 128 varints".
    assert protobuf.uvarint(value).hex() == encoded


def test_a_scalar_with_its_default_is_left_out():
    assert protobuf.integer(1, 0) == protobuf.sfixed64(2, 0) == b""
    assert protobuf.data(3, b"") == protobuf.string(4, "") == b""


def test_a_message_is_written_even_when_empty():
    assert protobuf.message(2, b"").hex() == "1200"


def test_negative_integers_take_ten_bytes():
    assert protobuf.integer(1, -1).hex() == "08ffffffffffffffffff01"


def test_fixed_integers_are_little_endian():
    assert protobuf.sfixed64(2, 1).hex() == "110100000000000000"
    assert protobuf.sfixed64(2, -1).hex() == "11ffffffffffffffff"


def test_strings_and_high_field_numbers():
    assert protobuf.string(2, "testing").hex() == "120774657374696e67"
    assert protobuf.integer(16, 1).hex() == "800101"


def test_a_timestamp_has_seconds_and_nanoseconds():
    assert protobuf.timestamp(1_500_000_000).hex() == "08011080cab5ee01"
    # Go's zero time, which CometBFT writes for absent votes.
    assert protobuf.timestamp(-62_135_596_800 * 10**9).hex() == "088092b8c398feffffff01"


@pytest.mark.parametrize("value", [2**63, 2**64 + 1, -(2**63) - 1])
@pytest.mark.parametrize("encode", [protobuf.integer, protobuf.sfixed64])
def test_a_number_that_would_pass_for_another_is_refused(encode, value):
    with pytest.raises(protobuf.NumberOutOfRange):
        encode(1, value)
