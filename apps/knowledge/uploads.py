"""What contributors hand to the app, sealed to its key, and what it keeps of it."""

from dataclasses import dataclass
from typing import Annotated

from apps.knowledge.limits import MAX_CHUNKS, MAX_DOCUMENT_BYTES
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes20, Bytes32

MAX_UPLOAD_BYTES = MAX_DOCUMENT_BYTES + 1024
_VECTORS_BYTES = MAX_CHUNKS * 384 * 4


@dataclass(frozen=True, slots=True)
class DocumentUpload:
    """A document, with what opens its commitment; handed to another app it is refused."""

    chain_id: int
    pay: Bytes20
    """Address of `KnowledgePay`."""
    commitment: Bytes32
    secret: Bytes32
    """Salts of the chunks follow from it."""
    text: Annotated[bytes, AtMost(MAX_DOCUMENT_BYTES)]


@dataclass(frozen=True, slots=True)
class Stored:
    """A document on the shelf. Once it is removed its text and vectors are empty."""

    number: int
    max_run: int
    budget: int
    text: Annotated[bytes, AtMost(MAX_DOCUMENT_BYTES)]
    vectors: Annotated[bytes, AtMost(_VECTORS_BYTES)]
    """Little-endian, four bytes a number."""
    fingerprints: tuple[Annotated[bytes, AtMost(1 << 14)], ...]
    """Of each chunk, one after the other."""


@dataclass(frozen=True, slots=True)
class StoredShown:
    """What one asker has seen of each document."""

    spans: dict[Bytes32, tuple[tuple[int, int], ...]]
