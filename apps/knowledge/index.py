"""
The index: which chunks are nearest to a question, by exact cosine and in one order everywhere.

Vectors are whole numbers of 14 bits, so that a sum is the same on every machine; of equal ones the
earlier document's earlier chunk comes first. A chunk that is, by half, text of a chunk registered
before it is a copy and is never found: the first commitment earns. What was removed stays known by
its fingerprints, so that nobody's copy takes its place.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apps.knowledge.guard import Guarded
from apps.knowledge.letters import letters
from apps.knowledge.limits import MAX_SOURCES
from shared.crypto.hashes import kmac256

UNIT = 1 << 14
LEAST_SCORE = UNIT * UNIT // 4
"""Cosine 0.25: below it, texts of MiniLM have nothing to do with each other."""
SHINGLE = 32
"""Letters of one fingerprint."""
FINGERPRINT_BYTES = 8
_CONTEXT = b"qanat/knowledge: fingerprint"
_KEPT_OF = 8
"""One in so many fingerprints is kept; which ones follows from the text."""
Vectors = npt.NDArray[np.int32]
Fingerprints = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Document:
    """A document in the index; a removed one has fingerprints and nothing else."""

    commitment: bytes
    number: int
    """In the order of registration."""
    chunks: tuple[str, ...] = field(repr=False)
    fingerprints: tuple[Fingerprints, ...] = field(repr=False)
    """Of each chunk."""
    vectors: Vectors = field(repr=False)
    guarded: Guarded = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that answers a question."""

    document: Document
    chunk: int
    score: int
    """Cosine times `UNIT` squared."""

    @property
    def text(self) -> str:
        """What stands there."""
        return self.document.chunks[self.chunk]


class Index:
    """All documents. It is made anew with each change."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = tuple(sorted(documents, key=lambda one: one.number))
        known: set[bytes] = set()
        self._places: list[tuple[Document, int]] = []
        for document in self.documents:
            for chunk, marks in enumerate(document.fingerprints):
                is_copy = bool(marks) and 2 * len(marks & known) >= len(marks)
                known |= marks
                if not is_copy and document.chunks:
                    self._places.append((document, chunk))
        rows = [document.vectors[chunk] for document, chunk in self._places]
        self._vectors = np.stack(rows) if rows else np.zeros((0, 0), np.int32)

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self._places)

    def search(self, vector: npt.NDArray[np.int32]) -> tuple[Found, ...]:
        """Give the nearest chunks, best first, at most `MAX_SOURCES`; none that is too far."""
        if not self._places:
            return ()
        # Lengths of 2^14 keep each sum below 2^29.
        scores = self._vectors @ vector
        best = np.argsort(-scores, kind="stable")[:MAX_SOURCES].tolist()
        near = [(self._places[at], int(scores[at])) for at in best]
        return tuple(
            Found(document, chunk, score)
            for (document, chunk), score in near
            if score >= LEAST_SCORE
        )


def quantize(vectors: Sequence[Sequence[float]]) -> Vectors:
    """Bring unit vectors to whole numbers; a row each."""
    return np.rint(np.asarray(vectors, np.float64) * UNIT).astype(np.int32)


def fingerprinter(key: bytes) -> Callable[[str], Fingerprints]:
    """Make what takes fingerprints of chunks under a key: they tell nothing to who lacks it."""

    def take(chunk: str) -> Fingerprints:
        plain = letters(chunk)
        windows = {plain[at : at + SHINGLE] for at in range(max(1, len(plain) - SHINGLE + 1))}
        marks = (kmac256(key, one.encode(), _CONTEXT)[:FINGERPRINT_BYTES] for one in windows)
        # The whole chunk as well: a short one has few windows.
        whole = kmac256(key, b"=" + plain.encode(), _CONTEXT)[:FINGERPRINT_BYTES]
        return frozenset({whole, *(one for one in marks if one[0] % _KEPT_OF == 0)})

    return take
