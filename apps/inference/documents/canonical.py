"""
JSON that everybody reads in the same way, its canonical bytes (RFC 8785), and digests of them.

The protocol's documents hold text, integers, booleans and null only. What two parsers could read
differently - a key twice, a fraction, an integer over 2^53, half a surrogate pair - is refused.
"""

import json
import re
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

import rfc8785

from apps.inference.errors import MalformedDocument
from shared.crypto.hashes import sha256

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"
Document: TypeAlias = "dict[str, Json]"

VERSION = "aci/1"
MAX_DOCUMENT_BYTES = 1 << 20
"""Of a report with its evidence, and of everything smaller."""
MAX_INTEGER = 2**53 - 1
"""Largest integer that is exact in every JSON parser. Source: RFC 8785, appendix B."""
_HEX = re.compile(r"([0-9a-f]{2})*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_document(untrusted: bytes, max_bytes: int = MAX_DOCUMENT_BYTES) -> Document:
    """Read a JSON object, or raise `MalformedDocument`."""
    if len(untrusted) > max_bytes:
        raise MalformedDocument(f"a document has at most {max_bytes} bytes, not {len(untrusted)}")
    try:
        found = json.loads(
            untrusted.decode(),
            object_pairs_hook=_without_repeats,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            parse_int=_read_integer,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(f"not a JSON document: {error}") from error
    if not isinstance(found, dict):
        raise MalformedDocument("not a JSON object")
    # What has no canonical form, such as half a surrogate pair, is no document.
    canonical(found)
    return found


def canonical(value: Json) -> bytes:
    """Give the canonical bytes, or raise `MalformedDocument`."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise MalformedDocument(f"no canonical form: {error}") from error


def digest(content: bytes) -> str:
    """`sha256:` and 64 hex digits over bytes as they are."""
    return f"sha256:{sha256(content).hex()}"


def text_of(document: Document, name: str) -> str:
    """Read a member that is text, or raise `MalformedDocument`."""
    found = document.get(name)
    if not isinstance(found, str):
        raise MalformedDocument(f"{name} is not text")
    return found


def optional_text_of(document: Document, name: str) -> str | None:
    """Read a member that is text or null, or raise `MalformedDocument`."""
    return None if document.get(name) is None else text_of(document, name)


def integer_of(document: Document, name: str) -> int:
    """Read a member that is a whole number from zero, or raise `MalformedDocument`."""
    found = document.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise MalformedDocument(f"{name} is not a whole number")
    return found


def object_of(document: Document, name: str) -> Document:
    """Read a member that is an object, or raise `MalformedDocument`."""
    found = document.get(name)
    if not isinstance(found, dict):
        raise MalformedDocument(f"{name} is not an object")
    return found


def objects_of(document: Document, name: str) -> list[Document]:
    """Read a member that is a list of objects, or raise `MalformedDocument`."""
    found = document.get(name)
    if not isinstance(found, list):
        raise MalformedDocument(f"{name} is not a list")
    objects = [one for one in found if isinstance(one, dict)]
    if len(objects) != len(found):
        raise MalformedDocument(f"{name} holds something else than objects")
    return objects


def digest_of(document: Document, name: str) -> str:
    """Read a member `sha256:<64 hex digits>`, or raise `MalformedDocument`."""
    found = text_of(document, name)
    if not _DIGEST.fullmatch(found):
        raise MalformedDocument(f"{name} is no digest")
    return found


def hex_of(document: Document, name: str) -> bytes:
    """Read a member of lower-case hex without prefix, or raise `MalformedDocument`."""
    found = text_of(document, name)
    if not _HEX.fullmatch(found):
        raise MalformedDocument(f"{name} is not lower-case hex")
    return bytes.fromhex(found)


def _without_repeats(pairs: Sequence[tuple[str, Json]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a whole number")


def _read_integer(text: str) -> int:
    if len(text) > len(str(MAX_INTEGER)) + 1 or abs(int(text)) > MAX_INTEGER:
        raise ValueError("an integer is over 2^53")
    return int(text)
