"""
Settings from the environment, checked before anything starts.

A service's `config.py` declares a frozen dataclass; each field is the environment variable
`QANAT_<FIELD>`. A field without a default is required. Types: str, int, bool (`1` or `0`), Path,
bytes (hex), and `tuple[X, ...]` of these (comma separated).
"""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from shared.errors import Rejected

S = TypeVar("S")
PREFIX = "QANAT_"


class BadSettings(Rejected, module="settings", code=1):
    """A setting is missing or not of its type; the process must not start."""


def read_settings(kind: type[S], environ: Mapping[str, str]) -> S:
    """Build the settings from an environment, or raise `BadSettings` that names every fault."""
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = PREFIX + field.name.upper()
        text = environ.get(name)
        if text is None:
            if field.default is field.default_factory is dataclasses.MISSING:
                faults.append(f"{name} is required")
            continue
        try:
            values[field.name] = _convert(hints[field.name], text)
        except ValueError as error:
            faults.append(f"{name}={text!r}: {error}")
    if faults:
        raise BadSettings("; ".join(faults))
    return kind(**values)


def _convert(kind: Any, text: str) -> Any:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return tuple(_convert(item, part.strip()) for part in text.split(",") if part.strip())
    if kind is bool:
        if text not in ("0", "1"):
            raise ValueError("must be 0 or 1")
        return text == "1"
    if kind is bytes:
        return bytes.fromhex(text.removeprefix("0x"))
    if kind is int:
        return int(text, 0)
    if kind is Path:
        return Path(text)
    if kind is str:
        return text
    raise TypeError(f"{kind!r} is not a type of settings")


def require_mock_tee_consent(environ: Mapping[str, str]) -> None:
    """Refuse to start unless the person has said that a mock TEE is what they want."""
    if environ.get("QANAT_UNSAFE_MOCK_TEE") != "1":
        raise BadSettings(
            "this network's TEE is a MOCK: no hardware protects its secrets. "
            "Set QANAT_UNSAFE_MOCK_TEE=1 to run it all the same"
        )
