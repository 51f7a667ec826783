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
