"""The part of JSON Schema that the specification of Ethereum's JSON-RPC uses."""

import re
from collections.abc import Iterator
from typing import Any

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}
KNOWN = frozenset(
    {
        *("type", "title", "pattern", "description", "properties", "required", "items"),
        *("additionalProperties", "oneOf", "anyOf", "minimum", "maximum", "enum", "const"),
    }
)


def faults_of(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """
    Give what is wrong with a value: (path, fault) of each; positions in lists are `[]`.

    Raises `KeyError` for a keyword that is not known here.
    """
    if unknown := schema.keys() - KNOWN:
        raise KeyError(f"{unknown} at {path}")
    for word in ("oneOf", "anyOf"):
        if word in schema:
            yield from _faults_of_choice(schema[word], value, path, is_one=word == "oneOf")
    if "enum" in schema and value not in schema["enum"]:
        yield path, f"none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield path, f"not {schema['const']}"
    if "type" in schema and not _is_of_type(value, schema["type"]):
        yield path, f"no {schema['type']}"
        return
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield path, f"does not match {schema['pattern']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            yield path, f"not from {low} to {high}"
    if isinstance(value, list):
        for item in value:
            yield from faults_of(schema.get("items", {}), item, f"{path}[]")
    if isinstance(value, dict):
        yield from _faults_of_object(schema, value, path)


def _is_of_type(value: Any, names: str | list[str]) -> bool:
    for name in [names] if isinstance(names, str) else names:
        is_false_number = isinstance(value, bool) and name in ("number", "integer")
        if isinstance(value, TYPES[name]) and not is_false_number:
            return True
    return False


def _faults_of_choice(
    choices: list[dict[str, Any]], value: Any, path: str, *, is_one: bool
) -> Iterator[tuple[str, str]]:
    """Where none fits, the faults of the one that fits best are given."""
    faults = [list(faults_of(one, value, path)) for one in choices]
    fitting = sum(not found for found in faults)
    if fitting == 0:
        # One of other types fits worst, however few faults it has.
        yield from min(
            faults, key=lambda found: (sum(f[:3] == "no " for _, f in found), len(found))
        )
    elif is_one and fitting > 1:
        yield path, "fits more than one"


def _faults_of_object(
    schema: dict[str, Any], value: dict[str, Any], path: str
) -> Iterator[tuple[str, str]]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}", "missing"
    for name, item in value.items():
        if name in properties:
            yield from faults_of(properties[name], item, f"{path}.{name}")
        elif others is False:
            yield f"{path}.{name}", "not in the specification"
        elif isinstance(others, dict):
            yield from faults_of(others, item, f"{path}.*")
