"""
Wire values as JSON, for people, and back.

Byte strings are hex with `0x`; a text that begins with `0x` is bytes again. Integers are numbers of
64 bits, as on the wire. Maps keep their keys, bytes among them as hex. The parser is orjson: the
standard library's ends the process on brackets that nest deep.
"""

from typing import Any

import orjson

from shared.encoding.cbor import MAX_DEPTH
from shared.errors import BadRequest

HEX = "0x"


def to_json(value: Any) -> Any:
    """Give a wire value as what `json` writes."""
    match value:
        case bytes():
            return HEX + value.hex()
        case list() | tuple():
            return [to_json(item) for item in value]
        case dict():
            return {_key(key): to_json(item) for key, item in value.items()}
        case _:
            return value


def _key(key: Any) -> str:
    return HEX + key.hex() if isinstance(key, bytes) else str(key)


def dump_json(value: Any) -> bytes:
    """Write a wire value as JSON."""
    return orjson.dumps(to_json(value))


def load_json(untrusted: bytes) -> Any:
    """
    Read JSON as a wire value.

    Raises
    ------
    BadRequest
        It is not JSON, has a fraction, nests too deep, or a text with `0x` is no hex.
    """
    try:
        return _from_json(orjson.loads(untrusted), 0)
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from error


def _from_json(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise BadRequest(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case float():
            raise BadRequest(f"{value} is no whole number of 64 bits")
        case str() if value.startswith(HEX):
            return bytes.fromhex(value.removeprefix(HEX))
        case list():
            return [_from_json(item, depth + 1) for item in value]
        case dict():
            return {
                _from_json(key, depth): _from_json(item, depth + 1) for key, item in value.items()
            }
        case _:
            return value
