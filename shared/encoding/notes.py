"""Notes that narrow the type of a field on the wire: `Annotated[bytes, Size(32)]`."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """Exact length of a byte string [bytes]."""

    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class AtMost:
    """Greatest length of a byte string [bytes], text [characters], array or map [items]."""

    length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Between:
    """Least and greatest value of an integer."""

    lowest: int
    highest: int


@dataclasses.dataclass(frozen=True, slots=True)
class Wide:
    """An unsigned integer of more than 64 bits: big-endian bytes on the wire, shortest form."""

    length: int
    """At most [bytes]."""


UNSIGNED = Between(0, 2**64 - 1)
"""What an `int` holds where nothing else is said: CBOR's integers without a tag."""
