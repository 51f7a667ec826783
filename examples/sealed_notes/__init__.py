"""
Sealed notes: who may read a note is state, as the note itself is.

A note is readable by its author and by those whom the author has let in. Nobody else learns its
text: not the operators of nodes, whose state is sealed, nor whoever watches the network, since
calls, results and read requests travel encrypted.
"""

from dataclasses import dataclass
from typing import Annotated

from runtimes.python.sdk import (
    Address,
    AtMost,
    Bytes21,
    Context,
    Grouped,
    Map,
    Module,
    ParaTime,
    Refused,
    Value,
    call,
    event,
    query,
)

MAX_TEXT = 4096
UNKNOWN, FORBIDDEN = 1, 2
"""A note that does not exist and one that may not be read are told apart: everybody may count."""

Text = Annotated[str, AtMost(MAX_TEXT)]


@dataclass(frozen=True)
class Note:
    """One note."""

    author: Bytes21
    text: Text
    written_at: int
    """Round."""


@dataclass(frozen=True)
class Reader:
    """Somebody who is let in, or shut out."""

    note: int
    reader: Bytes21


@event(1)
@dataclass(frozen=True)
class Written:
    """A note was written. Events are public: this one names no author."""

    note: int


class Notes(Module):
    """Notes, and who may read them."""

    name = "notes"
    count = Value(int, 0)
    notes = Map(int, Note)
    readers = Grouped(int, Bytes21, bool)
    readable = Grouped(Bytes21, int, bool)

    @call(gas=2_000)
    def write(self, ctx: Context, text: Text) -> int:
        """Write a note; gives its number."""
        author = ctx.require_sender()
        number = self.count.get(ctx)
        self.count.set(ctx, number + 1)
        self.notes.set(ctx, number, Note(author, text, ctx.round))
        self._let_in(ctx, number, author)
        ctx.emit(Written(number))
        return number

    @call(gas=1_000)
    def share(self, ctx: Context, args: Reader) -> None:
        """Let somebody read a note of the sender's."""
        self._require_author(ctx, args.note)
        self._let_in(ctx, args.note, args.reader)

    @call(gas=1_000)
    def unshare(self, ctx: Context, args: Reader) -> None:
        """Shut somebody out. What was read before is known, of course."""
        author = self._require_author(ctx, args.note)
        if args.reader == author:
            raise Refused(FORBIDDEN, "an author always reads")
        self.readers.remove(ctx, args.note, args.reader)
        self.readable.remove(ctx, args.reader, args.note)

    @call(gas=500)
    def read(self, ctx: Context, number: int) -> Note:
        """Give a note to whoever may read it; sent read-only, it leaves no trace."""
        note = self._find(ctx, number)
        if not self.readers.get(ctx, number, ctx.require_sender(), False):
            raise Refused(FORBIDDEN, "this note is not for you")
        return note

    @call(gas=500)
    def mine(self, ctx: Context) -> tuple[int, ...]:
        """Give the numbers of all notes that the sender may read."""
        return tuple(number for number, _ in self.readable.items(ctx, ctx.require_sender()))

    @query
    def total(self, ctx: Context) -> int:
        """How many notes there are: everybody may know."""
        return self.count.get(ctx)

    def _find(self, ctx: Context, number: int) -> Note:
        note = self.notes.get(ctx, number)
        if note is None:
            raise Refused(UNKNOWN, f"there is no note {number}")
        return note

    def _require_author(self, ctx: Context, number: int) -> Address:
        sender = ctx.require_sender()
        if self._find(ctx, number).author != sender:
            raise Refused(FORBIDDEN, "only its author shares a note")
        return sender

    def _let_in(self, ctx: Context, number: int, reader: Address) -> None:
        self.readers.set(ctx, number, reader, True)
        self.readable.set(ctx, reader, number, True)


PARATIME = ParaTime(name="sealed-notes", modules=(Notes(),), confidential=True)
