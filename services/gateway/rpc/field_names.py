"""How the names of JSON fields are read: in any case. Pure."""

from typing import Any


def fold_names(fields: dict[str, Any]) -> dict[str, Any]:
    """
    Give an object's fields by lower-case name; of two spellings of one name the last counts.

    Clients of the original depend on it: `blockhash`, `fromblock` and `To` are found in the wild.

    Source: Go's encoding/json (fold.go): ASCII case, and the long s and the Kelvin sign that
    Unicode folds onto letters.
    """
    return {name.replace("\u017f", "s").lower(): value for name, value in fields.items()}
