"""Documents in pieces, their commitments, and which of them a question finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.knowledge.chunks import read_text, split
from apps.knowledge.commitment import ChunkProof, commit, prove_chunk, verify_chunk
from apps.knowledge.errors import BadDocument
from apps.knowledge.guard import Guarded
from apps.knowledge.index import Document, Index, fingerprinter, quantize
from apps.knowledge.letters import letters
from apps.knowledge.limits import CHUNK_CHARACTERS, MAX_CHUNKS, MAX_DOCUMENT_BYTES, MAX_SOURCES
from shared.crypto.merkle import BadMerkleProof
from shared.crypto.secret import SecretBytes
from tests.support.knowledge import Words

SECRET = SecretBytes(b"s" * 32)
PROSE = st.text(st.sampled_from("ab é.\n"), max_size=4_000)
MILL = "The mill at the ford grinds barley for nine villages. " * 4
BEES = "Bees of the upper garden are counted at the first snow. " * 4


@given(PROSE)
def test_chunks_are_the_text_in_order_within_bounds(text):
    if not letters(text):
        with pytest.raises(BadDocument):
            split(text)
        return
    chunks = split(text)
    assert all(0 < len(one) <= CHUNK_CHARACTERS for one in chunks)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert split(text) == chunks


def test_a_chunk_ends_with_a_paragraph_or_a_sentence():
    first, second = "One. " * 50, "Two is here. " * 60
    chunks = split(f"{first}\n\n{second}")
    assert chunks[0] == first.strip()
    assert all(one.endswith("here.") for one in chunks[1:])


@pytest.mark.parametrize(
    "untrusted", [b"\xff", b"a\0b", b" \n.", b"", b"x" * (MAX_DOCUMENT_BYTES + 1)]
)
def test_what_is_no_text_is_refused(untrusted):
    with pytest.raises(BadDocument):
        split(read_text(untrusted))


def test_too_many_chunks_are_refused():
    with pytest.raises(BadDocument, match="pieces"):
        split("\n\n".join(["x" * CHUNK_CHARACTERS] * (MAX_CHUNKS + 1)))


def test_owner_shows_a_chunk_and_no_other():
    chunks = ["one", "two", "three"]
    root = commit(chunks, SECRET)
    proof = prove_chunk(chunks, SECRET, 1)
    verify_chunk(root, 3, "two", proof)
    for chunk, shown in (
        ("three", proof),
        ("two", ChunkProof(2, proof.salt, proof.aunts)),
        ("two", ChunkProof(1, b"0" * 32, proof.aunts)),
    ):
        with pytest.raises(BadMerkleProof):
            verify_chunk(root, 3, chunk, shown)
    assert commit(chunks, SecretBytes(b"t" * 32)) != root
    with pytest.raises(BadDocument):
        prove_chunk(chunks, SECRET, 3)


def document(text, number, key=b"k" * 32):
    chunks = split(text)
    vectors = quantize(Words().embed(chunks)[0])
    marks = tuple(map(fingerprinter(key), chunks))
    guarded = Guarded(letters(text), 40, 100)
    return Document(bytes([number]) * 32, number, chunks, marks, vectors, guarded)


def asked(index, question):
    found = index.search(quantize(Words().embed([question])[0])[0])
    return [(one.document.number, one.chunk) for one in found]


def test_nearest_comes_first_and_the_far_not_at_all():
    index = Index([document(BEES, 1), document(MILL, 2)])
    assert asked(index, "who grinds barley at the mill")[0] == (2, 0)
    assert asked(index, "quantum chromodynamics") == []
    assert asked(Index([]), "anything") == []


def test_order_of_arrival_changes_nothing():
    documents = [document(f"{MILL} {number} {'z' * number}", number) for number in range(1, 8)]
    found = asked(Index(documents), "barley of the mill")
    assert found == asked(Index(reversed(documents)), "barley of the mill")
    assert len(found) <= MAX_SOURCES


def test_who_commits_first_to_a_text_is_found_and_copies_are_not():
    copies = [MILL, MILL.upper(), f"Really: {MILL}", MILL.replace(" ", "  ")]
    index = Index([document(text, number) for number, text in enumerate(copies, 1)])
    assert {number for number, _ in asked(index, "barley mill")} == {1}
    assert len(index) == 1


def test_a_copy_takes_no_removed_documents_place():
    first, copy = document(MILL, 1), document(MILL, 2)
    removed = Document(first.commitment, 1, (), first.fingerprints, first.vectors, first.guarded)
    assert asked(Index([removed, copy]), "barley mill") == []


def test_a_document_that_repeats_itself_fills_no_places():
    chunk = ("The mill at the ford grinds barley for nine villages. " * 10)[:590]
    index = Index([document("\n\n".join([chunk] * 5), 1)])
    assert len(index) == 1


def test_fingerprints_tell_nothing_without_the_key():
    one, other = fingerprinter(b"1" * 32)(MILL), fingerprinter(b"2" * 32)(MILL)
    assert not one & other
