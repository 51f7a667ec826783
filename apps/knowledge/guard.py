"""
No answer carries more of a document than its owner allows; checked before anything leaves.

What of a document stands in an answer is found by its pieces of `PIECE` letters, in any order and
whatever else is between them. Pieces that are near to each other in the document are a passage. Two
bounds hold: the longest passage in one answer, and how much one asker gets in all his answers,
counted in passages of at least `LEAST_RUN` letters. So no answer holds a longer run either. What a
document says in other words is not its text, nor is what is spelled out in pieces below `PIECE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from apps.knowledge.letters import letters_of
from apps.knowledge.limits import LEAST_RUN

PIECE = 8
"""Letters and digits of the least piece that counts as the document's."""
FAR = 16
"""Letters of the document between two pieces of one passage, at most."""
MAX_PLACES = 64
"""Of one piece that are counted: a text of one word repeated would cost a minute."""
Span = tuple[int, int]
"""Places of a document's letters, from and to."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Which letters of a document stand in what somebody got."""

    spans: tuple[Span, ...] = ()
    """Rising; no two meet."""

    def with_span(self, start: int, end: int) -> "Shown":
        """Give it with one span more; spans that meet are one."""
        before = [one for one in self.spans if one[1] < start]
        after = [one for one in self.spans if one[0] > end]
        met = self.spans[len(before) : len(self.spans) - len(after)]
        if met:
            start, end = min(start, met[0][0]), max(end, met[-1][1])
        return Shown((*before, (start, end), *after))

    @property
    def passages(self) -> list[int]:
        """Letters of each passage."""
        found: list[int] = []
        last = -1 - FAR
        for start, end in self.spans:
            if start - last <= FAR:
                found[-1] += end - start
            else:
                found.append(end - start)
            last = end
        return found

    @property
    def longest(self) -> int:
        """Letters of the longest passage."""
        return max(self.passages, default=0)

    @property
    def count(self) -> int:
        """Letters of all passages that are long enough to be this document's."""
        return sum(one for one in self.passages if one >= LEAST_RUN)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A document as the guard sees it."""

    letters: str = field(repr=False)
    max_run: int
    """Longest passage in one answer."""
    budget: int
    """Of one asker, in all answers."""

    def places(self, piece: str) -> list[int]:
        """Give where a piece stands; what stands in more than `MAX_PLACES` is no secret."""
        found: list[int] = []
        at = self.letters.find(piece)
        while at >= 0 and len(found) < MAX_PLACES:
            found.append(at)
            at = self.letters.find(piece, at + 1)
        return found


class _Watched:
    """One document, what this answer has of it, and what the asker has."""

    def __init__(self, document: Guarded, shown: Shown) -> None:
        self._document, self.shown, self._answer = document, shown, Shown()

    def take(self, piece: str) -> bool:
        """Count the answer's last letters, unless a bound forbids them; says whether it did."""
        answer, shown = self._answer, self.shown
        for at in self._document.places(piece):
            answer = answer.with_span(at, at + len(piece))
            shown = shown.with_span(at, at + len(piece))
        if answer is not self._answer and answer.longest > self._document.max_run:
            return False
        if shown.spans != self.shown.spans:
            # What was over the budget already stays so, and lets nothing new out.
            if shown.count > max(self._document.budget, self.shown.count):
                return False
            self.shown = shown
        self._answer = answer
        return True


class Guard:
    """One answer's way out. What was let through stays counted, however the answer ends."""

    def __init__(self, documents: Sequence[Guarded], shown: Sequence[Shown]) -> None:
        """Take the documents that the answer is made from, and what the asker has seen of each."""
        self._watched = [_Watched(*one) for one in zip(documents, shown, strict=True)]
        self._last = ""
        self.has_stopped = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        """What the asker has seen of each document by now."""
        return tuple(one.shown for one in self._watched)

    def pass_on(self, text: str) -> str:
        """Give as much of the next piece as may leave; once it is less, nothing more does."""
        if self.has_stopped:
            return ""
        for at, character in enumerate(text):
            for letter in letters_of(character):
                self._last = (self._last + letter)[-PIECE:]
                whole = len(self._last) == PIECE
                if whole and not all(one.take(self._last) for one in self._watched):
                    self.has_stopped = True
                    return text[:at]
        return text
