"""
What a ParaTime asks of consensus, and what consensus hands to its next round.

The messages of a round stand under `messages_hash` of its results, which the enclave signs. What
came of them, and stake that came back, stands under `in_msgs_hash` of the block: the next round
begins with it, on every node alike. Source: oasis-core go/roothash/api/message.go @ f9f1fdc.
Differs: staking messages only, without a version; upstream's queue of incoming messages does not
exist, and its place in the header is taken by results, which upstream proves apart (ADR 0047).
"""

from dataclasses import dataclass
from typing import Annotated

from shared.crypto.hashes import EMPTY_HASH, sha512_256
from shared.encoding.notes import AtMost, Size
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.types.identity import Hash

MAX_MESSAGE_BYTES = 256
Address = Annotated[bytes, Size(21)]


class MalformedMessages(Rejected, module="messages", code=1):
    """A message is none, or asks for several things, or is not under its hash."""


@dataclass(frozen=True, slots=True)
class TransferMessage:
    """Pay out of the ParaTime's account."""

    to: Address
    amount: int


@dataclass(frozen=True, slots=True)
class WithdrawMessage:
    """Pull allowed tokens of an owner into the ParaTime's account."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True)
class AddEscrowMessage:
    """Delegate tokens of the ParaTime's account."""

    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class ReclaimEscrowMessage:
    """Take the ParaTime's shares out of an account's stake."""

    account: Address
    shares: int


Body = TransferMessage | WithdrawMessage | AddEscrowMessage | ReclaimEscrowMessage


@dataclass(frozen=True, slots=True)
class RoundMessage:
    """Exactly one of these."""

    transfer: TransferMessage | None = None
    withdraw: WithdrawMessage | None = None
    add_escrow: AddEscrowMessage | None = None
    reclaim_escrow: ReclaimEscrowMessage | None = None


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What came of a message."""

    module: str = ""
    code: int = 0
    """0 is success."""
    shares: int = 0
    """New shares of the stake; of a reclaim, those of the debonding pool."""
    epoch: int = 0
    """When reclaimed stake comes back."""


@dataclass(frozen=True, slots=True)
class Payout:
    """Reclaimed stake that came back to the ParaTime's account."""

    epoch: int
    """For which it was due; it may have come later."""
    account: Address
    """Whose stake it was part of."""
    amount: int


@dataclass(frozen=True, slots=True)
class Inbox:
    """Value at `state_keys.inbox_key`: what the next round begins with."""

    results: tuple[MessageResult, ...] = ()
    """Of the messages of the last normal round, in order."""
    payouts: tuple[Payout, ...] = ()


Messages = Annotated[tuple[Annotated[bytes, AtMost(MAX_MESSAGE_BYTES)], ...], AtMost(1024)]


def read_messages(untrusted: tuple[bytes, ...], expected: Hash) -> tuple[Body, ...]:
    """Read messages that are under a hash, or raise `MalformedMessages`."""
    if hash_messages(untrusted) != expected:
        raise MalformedMessages("the messages are not those under the hash")
    return tuple(map(_read, untrusted))


def _read(untrusted: bytes) -> Body:
    if len(untrusted) > MAX_MESSAGE_BYTES:
        raise MalformedMessages(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
    try:
        message = decode_record(RoundMessage, untrusted)
    except Rejected as error:
        raise MalformedMessages(error.message) from error
    bodies: list[Body] = [
        body
        for body in (
            message.transfer,
            message.withdraw,
            message.add_escrow,
            message.reclaim_escrow,
        )
        if body is not None
    ]
    if len(bodies) != 1:
        raise MalformedMessages("a message asks for exactly one thing")
    return bodies[0]


def hash_messages(messages: tuple[bytes, ...]) -> Hash:
    """Hash of the messages of a round; that of none is the empty one."""
    return sha512_256(encode_record(_Listed(messages))) if messages else EMPTY_HASH


@dataclass(frozen=True, slots=True)
class _Listed:
    messages: tuple[bytes, ...]


def hash_inbox(inbox: Inbox) -> Hash:
    """Hash of an inbox; that of an empty one is the empty one."""
    return EMPTY_HASH if inbox == Inbox() else sha512_256(encode_record(inbox))
