"""
Records: frozen dataclasses that cross a process boundary or are hashed.

A record is a CBOR map with a text key for each field, in canonical order. A field that may be None
is left out when it is. Field types are the wire format: int, bool, bytes, str, enums, records,
`tuple[X, ...]`, fixed tuples, `dict[K, V]`, and `X | None`. `Annotated` narrows a type by `Size`,
`AtMost` or `Between`; an `int` without a note is unsigned and has 64 bits. A number outside of its
field is refused when it is read; to write one is a bug, so nothing is stored that no reader takes.
`NewType`s stand for what they wrap. The codec of a class is built once and kept.

Bytes are read and written natively, in one pass by the class's schema (ADR 0028). What is decoded
already is turned into records by `shared/encoding/values.py`.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

import evm_native

from shared.encoding.cbor import MalformedCbor
from shared.encoding.notes import Between, Size, Wide
from shared.encoding.schema import SchemaBuilder
from shared.errors import Rejected

R = TypeVar("R")
RecordCodec = evm_native.RecordCodec
"""Between values of one type and bytes, in both directions."""


class MalformedRecord(Rejected, module="encoding", code=2):
    """The CBOR value does not have the shape of the record that is expected here."""


Bytes20 = Annotated[bytes, Size(20)]
Bytes21 = Annotated[bytes, Size(21)]
Bytes32 = Annotated[bytes, Size(32)]
Bytes64 = Annotated[bytes, Size(64)]
Signed = Annotated[int, Between(-(2**63), 2**63 - 1)]
"""An integer that may be negative; 64 bits as in protobuf and SQL."""
Natural = Annotated[int, Between(0, 2**63 - 1)]
"""An unsigned integer that protobuf and SQL hold as well."""
Uint256 = Annotated[int, Wide(32)]
"""An amount as the EVM counts it [wei]."""


def encode_record(record: object) -> bytes:
    """Canonical bytes of a record."""
    return native_codec_of(type(record)).encode(record)


def decode_record(kind: type[R], untrusted: bytes) -> R:
    """
    Read canonical bytes as a record of the given class.

    Raises
    ------
    MalformedCbor, MalformedRecord
        The bytes are not canonical CBOR, or not of this shape.
    """
    record: R = native_codec_of(kind).decode(untrusted)
    return record


def native_codec_of(kind: Any) -> RecordCodec:
    """Give the codec between values of a type and bytes; it is built once."""
    codec = _NATIVE.get(kind)
    if codec is None:
        builder = SchemaBuilder()
        root = builder.kind_of(kind)
        codec = RecordCodec(root, builder.records, MalformedCbor, MalformedRecord)
        _NATIVE[kind] = codec
    return codec


_NATIVE: dict[Any, RecordCodec] = {}


def arguments_codec_of(
    name: str, types: Mapping[str, Any], required: Collection[str]
) -> RecordCodec:
    """Make the codec of the arguments of a call: a dict, of which some may be left out."""
    builder = SchemaBuilder()
    root = builder.add_arguments(name, types, set(required))
    return RecordCodec(root, builder.records, MalformedCbor, MalformedRecord)
