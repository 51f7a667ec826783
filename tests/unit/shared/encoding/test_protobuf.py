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
    assert protobuf.integer(1, 0) == protobuf.data(3, b"") == b""


def test_a_message_is_written_even_when_empty():
    assert protobuf.message(2, b"").hex() == "1200"


def test_negative_integers_take_ten_bytes():
    assert protobuf.integer(1, -1).hex() == "08ffffffffffffffffff01"


def test_strings_and_high_field_numbers():
    assert protobuf.data(2, b"testing").hex() == "120774657374696e67"
    assert protobuf.integer(16, 1).hex() == "800101"


def test_a_timestamp_has_seconds_and_nanoseconds():
    assert protobuf.timestamp(1_500_000_000).hex() == "08011080cab5ee01"
    # Go's zero time, which CometBFT writes for absent votes.
    assert protobuf.timestamp(-62_135_596_800 * 10**9).hex() == "088092b8c398feffffff01"


@pytest.mark.parametrize("value", [2**63, 2**64 + 1, -(2**63) - 1])
def test_a_number_that_would_pass_for_another_is_refused(value):
    with pytest.raises(protobuf.NumberOutOfRange):
        protobuf.integer(1, value)
