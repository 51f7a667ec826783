"""What the model is asked, and how an answer names what it was made from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.inference.errors import BadCompletion
from apps.knowledge.errors import BadQuestion, NoSources
from apps.knowledge.index import Found
from apps.knowledge.limits import MAX_QUESTION_CHARACTERS

NOTHING = "Nothing that I have answers this."
WITHHELD = "(The rest is withheld: it is an owner's text.)"
_INSTRUCTION = "Answer the question briefly, in your own words, from these notes:"
_SOURCE = re.compile(r"([0-9a-f]{64})#([0-9]{1,3})")
_END = re.compile(r"\n\nSources:((?: [0-9a-f]{64}#[0-9]{1,3})*)\Z")
Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """A chunk that an answer was made from."""

    commitment: bytes
    """Of the document, 32 bytes."""
    chunk: int
    """Its place there, from 0."""


@dataclass(frozen=True, slots=True)
class SourcedAnswer:
    """An answer with what it was made from."""

    text: str
    sources: tuple[Source, ...]
    """Best first; nobody is paid where there are none."""
    is_withheld: bool
    """Whether it ends where an owner's text would have gone on."""


def question_of(asked: dict[str, Any]) -> str:
    """
    Give what a conversation asks: what its user said last.

    Raises
    ------
    BadQuestion, BadCompletion
        There is no question, or a long one; the answer is wanted in a form that sources are not.
    """
    if asked.get("response_format", {}).get("type", "text") != "text":
        raise BadCompletion("an answer from sources is text", "response_format")
    said = [one["content"] for one in asked["messages"] if one["role"] == "user"]
    if not said or not said[-1].strip():
        raise BadQuestion("the conversation has no question")
    if len(said[-1]) > MAX_QUESTION_CHARACTERS:
        raise BadQuestion(f"a question has at most {MAX_QUESTION_CHARACTERS} characters")
    return str(said[-1])


def with_notes(messages: Messages, found: Sequence[Found]) -> Messages:
    """Give the conversation with what was found before it."""
    notes = "\n\n".join(one.text for one in found)
    return [{"role": "system", "content": f"{_INSTRUCTION}\n\n{notes}"}, *messages]


def ending(found: Sequence[Found], *, is_withheld: bool) -> str:
    """Give what an answer ends with."""
    named = "".join(f" {one.document.commitment.hex()}#{one.chunk}" for one in found)
    return (f"\n\n{WITHHELD}" if is_withheld else "") + f"\n\nSources:{named}"


def read_answer(text: str) -> SourcedAnswer:
    """
    Take an answer apart.

    Raises
    ------
    NoSources
        It does not end with its sources: a stream that was cut, or an answer of another model.
    """
    end = _END.search(text)
    if end is None:
        raise NoSources("the answer does not end with its sources")
    said = text[: end.start()]
    sources = tuple(
        Source(bytes.fromhex(name), int(chunk)) for name, chunk in _SOURCE.findall(end[1])
    )
    plain = said.removesuffix(f"\n\n{WITHHELD}")
    return SourcedAnswer(plain, sources, plain != said)
