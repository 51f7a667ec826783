import datetime as dt
import decimal
import fractions
import ipaddress
import re
import uuid

import cbor2
import pytest

from shared.encoding import cbor

NOT_CANONICAL = {
    "long integer": "1801",
    "long length": "5801ff",
    "keys out of order": "a2626161016162 02".replace(" ", ""),
    "indefinite array": "9fff",
    "duplicate key": "a2616101616102",
    "trailing bytes": "0102",
    "truncated": "a16161",
    "empty": "",
    "tag": "c11a514b67b0",
    "self-described": "d9d9f701",
    "double where a half does": "fb3ff8000000000000",
    "bad text": "61ff",
}

NOT_PLAIN = {
    "a list that contains itself": bytes.fromhex("d81c81d81d00"),
    "a value that may be shared": bytes.fromhex("d81c80"),
    "a reference to no value": bytes.fromhex("d81d00"),
    "a string reference": bytes.fromhex("d9010080"),
    "an integer of 65 bits": cbor2.dumps(2**64),
    "a negative integer of 71 bits": cbor2.dumps(-(2**70)),
    "a date": cbor2.dumps(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "a decimal fraction": cbor2.dumps(decimal.Decimal("1e9")),
    "a decimal fraction without end": bytes.fromhex("c4821b7fffffffffffffff01"),
    "a rational number": cbor2.dumps(fractions.Fraction(1, 3)),
    "a regular expression": cbor2.dumps(re.compile("(a+)+b")),
    "a UUID": cbor2.dumps(uuid.UUID(int=1)),
    "an IP address": cbor2.dumps(ipaddress.ip_address("127.0.0.1")),
    "a set": cbor2.dumps({1, 2}),
    "an unknown tag": cbor2.dumps(cbor2.CBORTag(4711, 0)),
}
NO_VALUES = {
    "a float": cbor2.dumps(1.5, canonical=True),
    "no number": cbor2.dumps(float("nan"), canonical=True),
    "undefined": b"\xf7",
    "a simple value": b"\xe0",
    "a list as key": b"\xa1\x81\x01\x00",
    "a map as key": b"\xa1\xa1\x01\x02\x00",
    "a boolean as key": b"\xa1\xf4\x00",
}


@pytest.mark.parametrize("encoded", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_no_tag_is_ever_decoded(encoded: bytes) -> None:
    for nested in (encoded, b"\x81" + encoded, b"\xa1\x61a" + encoded):
        with pytest.raises(cbor.MalformedCbor):
            cbor.decode(nested)
        with pytest.raises(cbor.MalformedCbor):
            cbor.decode_loosely(nested)


@pytest.mark.parametrize("encoded", NO_VALUES.values(), ids=NO_VALUES.keys())
def test_only_plain_items_are_values(encoded: bytes) -> None:
    for nested in (encoded, b"\x81" + encoded, b"\xa1\x61a" + encoded):
        with pytest.raises(cbor.MalformedCbor):
            cbor.decode(nested)


@pytest.mark.parametrize(
    "announced", ["9b00000000ffffffff", "5b0000007fffffffff", "bb00000000ffffffff"]
)
def test_an_announced_length_takes_no_memory(announced: str) -> None:
    with pytest.raises(cbor.MalformedCbor):
        cbor.decode(bytes.fromhex(announced))


@pytest.mark.parametrize("encoded", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_other_encodings_are_refused(encoded: str) -> None:
    with pytest.raises(cbor.MalformedCbor):
        cbor.decode(bytes.fromhex(encoded))


def test_keys_are_ordered_by_length_first() -> None:
    assert cbor.encode({"bb": 1, "a": 2, "c": 3}).hex() == "a3616102616303" + "62626201"


def test_nesting_is_limited() -> None:
    deep = b"\x81" * (cbor.MAX_DEPTH + 10) + b"\x00"
    with pytest.raises(cbor.MalformedCbor):
        cbor.decode(deep)
