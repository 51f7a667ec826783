"""
Was it encrypted? Marks on calls and transactions, and an assertion for who wants all of them so.

The assertion is a help for developers and no wall: it stands in the gateway, which anybody may
replace, and what it refuses has reached the gateway in plain already.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import structlog

from shared.encoding import cbor
from shared.errors import Rejected

log = structlog.get_logger()

KEPT_MARKS = 256
"""Newest calls whose marks are kept."""
MAX_TEXT_BYTES = 200
"""Of a header that is kept."""
MAX_UNREAD_BYTES = 2048
"""Of an envelope that is kept until somebody asks for its mark."""
ENVELOPE_HEADS = frozenset(b"\xa1\xa2\xa3\xa4")
"""First bytes of CBOR maps with as many fields as an envelope or a signed query has."""
SIGNED_QUERY_FIELDS = {"data", "leash", "signature"}
EVERYTHING, NOTHING = "all", "none"
PRECOMPILE_RANGES = frozenset({b"\0" + bytes(17), b"\1" + bytes(17)})
"""First 18 bytes of Ethereum's precompiles, and of Sapphire's."""


class PlainCallRefused(Rejected, module="gateway", code=15):
    """A call or transaction came in plain, and the contract was to be called encrypted only."""


class Origin(NamedTuple):
    """Where a request came from, as far as it says."""

    peer: str
    user_agent: bytes
    page: bytes
    """Its `Origin` header: the web page that asks."""

    def __str__(self) -> str:
        """For a person."""
        said = [
            f"{name} {text.decode('latin-1')!r}"
            for name, text in (("User-Agent", self.user_agent), ("Origin", self.page))
            if text
        ]
        return ", ".join([f"peer {self.peer}", *said])


Asker = tuple[tuple[str, int] | None, Mapping[bytes, bytes]]
"""Address of who asks, and the headers of the request."""
ASKER: ContextVar[Asker] = ContextVar("asker", default=(None, {}))
"""Of the request that is being answered."""


def origin_of(asker: Asker) -> Origin:
    """Say where a request came from."""
    peer, headers = asker
    return Origin(
        "unknown" if peer is None else f"{peer[0]}:{peer[1]}",
        headers.get(b"user-agent", b"")[:MAX_TEXT_BYTES],
        headers.get(b"origin", b"")[:MAX_TEXT_BYTES],
    )


@dataclass(frozen=True, slots=True)
class Envelope:
    """What anybody sees of an envelope around calldata."""

    epoch: int
    """Of the key to which it is sealed; 0 where the client does not say."""
    key: bytes
    """X25519 key of who made it."""


def read_envelope(calldata: bytes) -> Envelope | None:
    """Read the outside of calldata, or of a signed query around it; None where it is plain."""
    if not calldata or calldata[0] not in ENVELOPE_HEADS:
        return None
    try:
        found = cbor.decode_loosely(calldata)
    except cbor.MalformedCbor:
        return None
    if isinstance(found, dict) and found.keys() == SIGNED_QUERY_FIELDS:
        found = found["data"]
    match found:
        case {"format": 1, "body": {"pk": bytes(key), "data": bytes(), "nonce": bytes(), **rest}}:
            epoch = rest.get("epoch", 0)
            return Envelope(epoch if type(epoch) is int else 0, key)
        case _:
            return None


class Mark(NamedTuple):
    """One call or transaction as it came."""

    method: str
    to: bytes | None
    outside: bytes | Envelope | None
    """Its envelope, read or not; None where the calldata was plain, which is not kept."""
    origin: Origin

    @property
    def envelope(self) -> Envelope | None:
        """What anybody sees of its envelope; None where the calldata was plain."""
        outside = self.outside
        return read_envelope(outside) if isinstance(outside, bytes) else outside


@dataclass(frozen=True, slots=True)
class Required:
    """Which contracts are to be called encrypted only."""

    everything: bool = False
    contracts: frozenset[bytes] = frozenset()

    def covers(self, to: bytes | None, calldata: bytes) -> bool:
        """
        Say whether a plain call is one that must not be.

        What carries no calldata has nothing to hide, creations go to no contract yet, and
        precompiles are asked by clients for the key itself.
        """
        if not calldata or to is None:
            return False
        return to in self.contracts or (self.everything and not _is_precompile(to))

    def describe(self) -> list[str] | str:
        """Say it as it was asked for."""
        if self.everything:
            return EVERYTHING
        return ["0x" + one.hex() for one in sorted(self.contracts)]


def read_required(words: Iterable[str]) -> Required:
    """Read addresses, or `all`; raises `ValueError`."""
    everything, contracts = False, set()
    for word in words:
        if word == EVERYTHING:
            everything = True
            continue
        address = bytes.fromhex(word.removeprefix("0x"))
        if len(address) != 20:
            raise ValueError(f"{word!r} is no address of 20 bytes, and not {EVERYTHING!r}")
        contracts.add(address)
    return Required(everything, frozenset(contracts))


class EncryptionWatch:
    """Marks what comes in, and refuses what should have been encrypted."""

    def __init__(self, required: Required) -> None:
        self.required = required
        self._marks: deque[Mark] = deque(maxlen=KEPT_MARKS)

    @property
    def is_asserting(self) -> bool:
        """Whether anything is required, so that transactions are worth reading here."""
        return self.required.everything or bool(self.required.contracts)

    def notice(self, method: str, to: bytes | None, calldata: bytes) -> None:
        """Mark a call; raises `PlainCallRefused` where it had to be encrypted and is not."""
        mark = Mark(method, to, _outside_of(calldata), origin_of(ASKER.get()))
        self._marks.append(mark)
        if self.required.covers(to, calldata) and mark.envelope is None:
            shown = "0x" + (to or b"").hex()
            log.warning("plain_call_refused", method=method, to=shown, origin=str(mark.origin))
            raise PlainCallRefused(
                f"{method} to {shown} came in plain, and this network requires encryption there "
                f"(--require-encryption); it came from {mark.origin}"
            )

    def newest(self, count: int) -> list[Mark]:
        """Give the marks of the newest calls, newest first."""
        return list(islice(reversed(self._marks), count))


def _outside_of(calldata: bytes) -> bytes | Envelope | None:
    """Give what a mark keeps: to read an envelope costs more than the rest, and can wait."""
    if not calldata or calldata[0] not in ENVELOPE_HEADS:
        return None
    return calldata if len(calldata) <= MAX_UNREAD_BYTES else read_envelope(calldata)


def _is_precompile(to: bytes) -> bool:
    return to[:18] in PRECOMPILE_RANGES
