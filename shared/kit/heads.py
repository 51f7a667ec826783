"""Heads of HTTP/1.1 messages: as little of RFC 9112 as an `Upgrade` needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import Rejected

END = b"\r\n\r\n"
MAX_HEAD_BYTES = 16 * 1024
"""Longest head that is read [bytes]; as many servers have it."""


class MalformedHead(Rejected, module="http", code=1):
    """The bytes are not the head of an HTTP/1.1 message."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line, and the fields by lower-case name."""

    first_line: str
    fields: Mapping[str, str]

    @property
    def is_upgrade(self) -> bool:
        """Say whether it asks for, or grants, another protocol."""
        tokens = self.fields.get("connection", "").lower().split(",")
        return "upgrade" in {token.strip() for token in tokens}


def encode_head(first_line: str, fields: Mapping[str, str]) -> bytes:
    """Bytes of a head, its end included."""
    lines = [first_line, *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + END


def decode_head(untrusted: bytes) -> Head:
    """Read a head without its end, or raise `MalformedHead`."""
    first_line, *lines = untrusted.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedHead("a field is not `name: value`")
        name = name.lower()
        if name in fields:
            value = f"{fields[name]},{value.strip()}"
        fields[name] = value.strip()
    return Head(first_line, fields)


class HeadReader:
    """Collects bytes until a head is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def received(self) -> bytes:
        """All that arrived."""
        return bytes(self._buffer)

    def feed(self, untrusted: bytes) -> tuple[Head, bytes] | None:
        """
        Take bytes; give the head and what follows it, or None while it is not whole.

        Raises
        ------
        MalformedHead
            The head is longer than `MAX_HEAD_BYTES`, or is none.
        """
        searched_from = max(0, len(self._buffer) - len(END))
        self._buffer += untrusted
        end = self._buffer.find(END, searched_from)
        if end < 0 and len(self._buffer) <= MAX_HEAD_BYTES:
            return None
        if not 0 <= end <= MAX_HEAD_BYTES:
            raise MalformedHead(f"the head is longer than {MAX_HEAD_BYTES} bytes")
        return decode_head(bytes(self._buffer[:end])), bytes(self._buffer[end + len(END) :])
