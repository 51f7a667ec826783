"""
Texts of a Compose file in which variables stand, as Compose reads them: `${NAME}`, `${NAME:-text}`.

Source: compose-spec `12-interpolation.md`. Differs: nothing is nested, and `:+` is not known.
"""

import re
from collections.abc import Mapping

from shared.errors import Rejected

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PLACE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<short>" + NAME + r")"
    r"|\{(?P<name>" + NAME + r")(?:(?P<rule>:?[-?])(?P<text>[^{}$]*))?\}|(?P<wrong>))"
)


class BadTemplate(Rejected, module="bundle", code=4):
    """A `$` in the text begins nothing that can be filled in."""


class VariableMissing(Rejected, module="bundle", code=5):
    """The text asks for a variable, by `${NAME:?why}`, that the app has no secret for."""


def fill_template(template: str, variables: Mapping[str, str]) -> str:
    """
    Put variables into their places; one that is not there is empty, as in Compose.

    Raises
    ------
    BadTemplate, VariableMissing
        See each class.
    """

    def fill(place: re.Match[str]) -> str:
        if place["wrong"] is not None:
            # Never the whole text: a default may be what somebody calls a secret.
            raise BadTemplate(f"the `$` at character {place.start()} names no variable; write `$$`")
        if place["dollar"]:
            return "$"
        found = variables.get(place["short"] or place["name"])
        rule, text = place["rule"] or "", place["text"] or ""
        if found or (found is not None and not rule.startswith(":")):
            return found
        if rule.endswith("?"):
            raise VariableMissing(f"variable {place['name']} is needed: {text or 'it is not set'}")
        return text

    return _PLACE.sub(fill, template)


def verify_template(template: str) -> None:
    """Raise `BadTemplate` where a text cannot be filled in, whatever the variables."""
    for place in _PLACE.finditer(template):
        if place["wrong"] is not None:
            raise BadTemplate(f"the `$` at character {place.start()} names no variable; write `$$`")
