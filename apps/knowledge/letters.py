"""
Text as the guard compares it: letters and digits alone, in one form.

Case, accents, width, ligatures, spaces and punctuation do not make a copy another text. Each
character is brought to that form by itself, so that a stream is compared as it comes.
"""

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=65_536)
def letters_of(character: str) -> str:
    """Give the letters and digits of one character, none to some eighteen."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(one for one in plain if one.isalnum())


def letters(text: str) -> str:
    """Give the letters and digits of a text."""
    return "".join(map(letters_of, text))
