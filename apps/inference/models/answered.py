"""How models hand over what they generate."""

from collections.abc import Callable
from dataclasses import dataclass

CONTEXT_TOKENS = 2048
"""Of prompt and answer together."""

OnText = Callable[[str], bool]
"""
Takes the next piece of text; True ends the answer. An empty piece asks whether to go on, as after
each part of a long prompt.
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """How an answer ended."""

    finish_reason: str
    """`stop` or `length`."""
    prompt_tokens: int
    completion_tokens: int
