"""
Documents in pieces, the same on every machine.

A piece ends with a paragraph where it can, else with a sentence, else between words; only a word
that is longer than a piece is cut.
"""

import re

from apps.knowledge.errors import BadDocument
from apps.knowledge.limits import CHUNK_CHARACTERS, MAX_CHUNKS, MAX_DOCUMENT_BYTES

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+")
_SPACES = re.compile(r"\s+")
_UNITS = (_PARAGRAPH, _SENTENCE, _SPACES)


def read_text(untrusted: bytes) -> str:
    """Read a document: UTF-8 text that says something. Raises `BadDocument`."""
    if len(untrusted) > MAX_DOCUMENT_BYTES:
        raise BadDocument(f"{len(untrusted)} bytes: at most {MAX_DOCUMENT_BYTES}")
    try:
        text = untrusted.decode()
    except UnicodeDecodeError as error:
        raise BadDocument(f"no UTF-8 at byte {error.start}") from None
    if "\0" in text:
        raise BadDocument("a text has no zero characters")
    return text


def split(text: str) -> tuple[str, ...]:
    """
    Split a document into pieces.

    Parameters
    ----------
    text : `str`
        As `read_text` gives it.

    Returns
    -------
    chunks : `tuple[str, ...]`
        1 to `MAX_CHUNKS` pieces of 1 to `CHUNK_CHARACTERS` characters, in order; white space is one
        blank in them.

    Raises
    ------
    BadDocument
        There is nothing in it, or too much.
    """
    chunks = tuple(_split(text, 0))
    if not chunks or not any(one.isalnum() for one in text):
        raise BadDocument("there is no text in it")
    if len(chunks) > MAX_CHUNKS:
        raise BadDocument(f"{len(chunks)} pieces: at most {MAX_CHUNKS}")
    return chunks


def _split(text: str, depth: int) -> list[str]:
    """Join units of one kind as long as they fit; what does not fit is split by the next kind."""
    chunks: list[str] = []
    held = ""
    for unit in _UNITS[depth].split(text):
        plain = _SPACES.sub(" ", unit).strip()
        if not plain:
            continue
        joined = f"{held} {plain}" if held else plain
        if len(joined) <= CHUNK_CHARACTERS:
            held = joined
            continue
        if held:
            chunks.append(held)
        if len(plain) <= CHUNK_CHARACTERS:
            held = plain
            continue
        if depth + 1 < len(_UNITS):
            *whole, held = _split(unit, depth + 1)
        else:
            cuts = range(0, len(plain), CHUNK_CHARACTERS)
            *whole, held = (plain[at : at + CHUNK_CHARACTERS] for at in cuts)
        chunks += whole
    return [*chunks, held] if held else chunks
