"""
The documents of the app: taken in sealed, kept sealed, indexed in memory, gone when removed.

Which documents there are is asked of the chain before each answer, so that one that its owner took
back is in none from then on. What remains of it are fingerprints: others' copies are known by them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from nacl.public import PrivateKey

from apps.boxes import open_box
from apps.inference.serve.engine import Embeddings, Engine
from apps.knowledge.chain import Registered
from apps.knowledge.chunks import read_text, split
from apps.knowledge.commitment import commit
from apps.knowledge.errors import BadDocument, ShelfFull
from apps.knowledge.guard import Guarded, Shown
from apps.knowledge.index import (
    FINGERPRINT_BYTES,
    Document,
    Fingerprints,
    Found,
    Index,
    Vectors,
    fingerprinter,
    quantize,
)
from apps.knowledge.letters import letters
from apps.knowledge.limits import MAX_ALL_CHUNKS, MAX_DOCUMENTS
from apps.knowledge.uploads import MAX_UPLOAD_BYTES, DocumentUpload, Stored, StoredShown
from apps.sealed_files import SealedFiles
from shared.crypto.secret import SecretBytes
from shared.encoding.record import decode_record, encode_record

_DOCUMENT, _SHOWN = "document-", "shown-"
_LITTLE = np.dtype("<i4")


class Documents(Protocol):
    """What the shelf asks of the chain; it blocks."""

    def document(self, commitment: bytes) -> Registered:
        """Look a document up."""
        ...

    def are_there(self, commitments: Sequence[bytes]) -> list[bool]:
        """Say which documents are registered and not removed."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Which app this is: uploads name it."""

    chain_id: int
    pay: bytes
    """Address of `KnowledgePay`, 20 bytes."""


class Shelf:
    """All documents. Only what `take` and `search` await lets others run in between."""

    def __init__(
        self,
        place: Place,
        chain: Documents,
        engine: Engine,
        embeddings: Embeddings,
        files: SealedFiles,
        key: PrivateKey,
        fingerprint_key: bytes,
    ) -> None:
        """Take what is on the disk; `key` opens uploads. Raises `BadSeal`."""
        self._place, self._chain, self._engine = place, chain, engine
        self._embeddings, self._files, self._key = embeddings, files, key
        self._fingerprint, self._turn = fingerprinter(fingerprint_key), asyncio.Lock()
        self._stored = {
            bytes.fromhex(name.removeprefix(_DOCUMENT)): decode_record(
                Stored, files.get(name) or b""
            )
            for name in files.names(_DOCUMENT)
        }
        self._index = Index(_document(*one) for one in self._stored.items())

    async def take(self, untrusted: bytes) -> bytes:
        """
        Take a sealed document in; gives its commitment. What is there already changes nothing.

        Raises
        ------
        BadBox, BadDocument, ShelfFull, ContractRefused, GatewayAway, TooBusy
            See each class.
        """
        upload = open_box(self._key, DocumentUpload, untrusted, MAX_UPLOAD_BYTES)
        if Place(upload.chain_id, upload.pay) != self._place:
            raise BadDocument("the document is for another app")
        chunks = split(read_text(upload.text))
        commitment = upload.commitment
        if commit(chunks, SecretBytes(upload.secret)) != commitment:
            raise BadDocument("the text is not what was committed to")
        async with self._turn:
            registered = await asyncio.to_thread(self._chain.document, commitment)
            if registered.removed:
                raise BadDocument("the document was removed")
            if registered.chunks != len(chunks):
                raise BadDocument("the document was registered with another number of chunks")
            if commitment in self._stored and self._stored[commitment].text:
                return commitment
            self._verify_room(len(chunks))
            read = await self._engine.run_each([partial(self._read, one) for one in chunks])
            vectors, marks = np.concatenate([one for one, _ in read]), [one for _, one in read]
            stored = Stored(
                *(registered.number, registered.max_run, registered.budget, upload.text),
                vectors.astype(_LITTLE).tobytes(),
                tuple(b"".join(sorted(one)) for one in marks),
            )
            self._keep({commitment: stored})
        return commitment

    async def search(self, question: str) -> tuple[Found, ...]:
        """Give what answers a question, best first, of what its owners have not taken back."""
        async with self._turn:
            await self._sweep()
        vectors, _ = await self._engine.run(lambda: self._embeddings.embed([question]))
        return self._index.search(quantize(vectors)[0])

    def shown(self, asker: bytes, commitments: Sequence[bytes]) -> list[Shown]:
        """Give what an asker has seen of documents."""
        found = self._load_shown(asker)
        return [Shown(found.get(one, ())) for one in commitments]

    def keep_shown(self, asker: bytes, seen: dict[bytes, Shown]) -> None:
        """Keep what an asker has seen by now."""
        spans = self._load_shown(asker) | {name: one.spans for name, one in seen.items()}
        self._files.put(f"{_SHOWN}{asker.hex()}", encode_record(StoredShown(spans)))

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self._index)

    def _load_shown(self, asker: bytes) -> dict[bytes, tuple[tuple[int, int], ...]]:
        raw = self._files.get(f"{_SHOWN}{asker.hex()}")
        return {} if raw is None else dict(decode_record(StoredShown, raw).spans)

    def _read(self, chunk: str) -> tuple[Vectors, Fingerprints]:
        vectors, _ = self._embeddings.embed([chunk])
        return quantize(vectors), self._fingerprint(chunk)

    def _verify_room(self, chunks: int) -> None:
        held = sum(len(one.fingerprints) for one in self._stored.values())
        if len(self._stored) >= MAX_DOCUMENTS or held + chunks > MAX_ALL_CHUNKS:
            raise ShelfFull("the app holds as many documents as it may")

    async def _sweep(self) -> None:
        """Forget what the chain does not have any more."""
        held = [name for name, one in self._stored.items() if one.text]
        there = await asyncio.to_thread(self._chain.are_there, held) if held else []
        self._keep(
            {
                name: replace(self._stored[name], text=b"", vectors=b"")
                for name, is_there in zip(held, there, strict=True)
                if not is_there
            }
        )

    def _keep(self, changed: dict[bytes, Stored]) -> None:
        for name, stored in changed.items():
            self._files.put(f"{_DOCUMENT}{name.hex()}", encode_record(stored))
        if changed:
            self._stored |= changed
            self._index = Index(_document(*one) for one in self._stored.items())


def _document(commitment: bytes, stored: Stored) -> Document:
    chunks = split(read_text(stored.text)) if stored.text else ()
    vectors = np.frombuffer(stored.vectors, _LITTLE).astype(np.int32)
    return Document(
        commitment=commitment,
        number=stored.number,
        chunks=chunks,
        fingerprints=tuple(_marks(one) for one in stored.fingerprints),
        vectors=vectors.reshape(len(chunks), -1) if chunks else vectors,
        guarded=Guarded(letters(" ".join(chunks)), stored.max_run, stored.budget),
    )


def _marks(joined: bytes) -> Fingerprints:
    places = range(0, len(joined), FINGERPRINT_BYTES)
    return frozenset(joined[at : at + FINGERPRINT_BYTES] for at in places)
