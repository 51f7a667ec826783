"""
How CBOR values look in JSON, both ways.

Bytes are `0x…` texts; a number above 2^53 is a number all the same. A text of `0x` and
hex digits is read as bytes, so a program that takes texts of that form needs `args_cbor`.
"""

import re
from typing import Any

from services.runtime_gateway.rounds import Place, SeenRound
from shared.encoding import cbor
from shared.errors import BadRequest
from shared.types.sdk_transaction import TransactionRecord

MAX_DEPTH = 64
"""Levels of lists and maps; as of the decoder of CBOR."""
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


def to_json(value: Any) -> Any:
    """Turn a decoded CBOR value into what JSON can say."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): to_json(item) for key, item in value.items()}
    return value


def from_json(value: Any, depth: int = 0) -> Any:
    """Turn a JSON value into what CBOR encodes, or raise `BadRequest`."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"values nest at most {MAX_DEPTH} deep")
    if isinstance(value, float):
        raise BadRequest("a number must be whole")
    if isinstance(value, str):
        return bytes.fromhex(value[2:]) if _HEX.fullmatch(value) else _text(value)
    if isinstance(value, list):
        return [from_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {from_json(key): from_json(item, depth + 1) for key, item in value.items()}
    return value


def _text(value: str) -> str:
    """Give a text back, or raise `BadRequest`: JSON can say half a character, and CBOR cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest("a text has half a surrogate pair") from None
    return value


def read_hex(text: str, what: str) -> bytes:
    """Read `0x…`, or raise `BadRequest`."""
    if not _HEX.fullmatch(text):
        raise BadRequest(f"{what} must be 0x… with an even number of hex digits")
    return bytes.fromhex(text[2:])


def show_round(round_: SeenRound) -> dict[str, Any]:
    """Show a round with its transactions."""
    header = round_.header
    return {
        "round": header.round,
        "hash": "0x" + header.hash().hex(),
        "previous_hash": "0x" + header.previous_hash.hex(),
        "timestamp": header.timestamp,
        "type": header.header_type.name.lower(),
        "epoch": round_.epoch,
        "state_root": "0x" + header.state_root.hex(),
        "io_root": "0x" + header.io_root.hex(),
        "transactions": [show_record(record) for record in round_.records],
    }


def show_place(place: Place) -> dict[str, Any]:
    """Show a transaction and where it is."""
    where = {"round": place.round.header.round, "index": place.index}
    return where | show_record(place.record)


def show_record(record: TransactionRecord) -> dict[str, Any]:
    """Show what became of a transaction."""
    return {
        "hash": "0x" + record.hash.hex(),
        "sender": "0x" + record.sender.hex(),
        "nonce": record.nonce,
        "gas_used": record.gas_used,
        "fee": str(record.fee),
        "result": to_json(cbor.decode(record.result)),
        "result_cbor": "0x" + record.result.hex(),
        "events": list(show_events(record)),
    }


def show_events(record: TransactionRecord) -> list[dict[str, Any]]:
    """Show the events of a transaction, one by one."""
    shown: list[dict[str, Any]] = []
    for tag, values in record.events:
        module, code = tag[:-4].decode("utf-8", "replace"), int.from_bytes(tag[-4:], "big")
        decoded = cbor.decode(values)
        values_of_kind = decoded if isinstance(decoded, list) else []
        shown += [{"module": module, "code": code, "value": to_json(v)} for v in values_of_kind]
    return shown


def _key(key: Any) -> str:
    return "0x" + key.hex() if isinstance(key, bytes) else str(key)
