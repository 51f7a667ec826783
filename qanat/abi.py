"""Reads calldata and results by a contract's ABI, or by the signature of one function."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from eth_abi.abi import decode, is_encodable_type
from eth_abi.exceptions import DecodingError, ParseError
from eth_abi.grammar import TupleType, normalize, parse

from shared.crypto.hashes import keccak256
from shared.errors import Rejected

SELECTOR_BYTES = 4
MAX_FILE_BYTES = 16 * 1024 * 1024


class BadAbi(Rejected, module="cli", code=1):
    """The file holds no ABI, or the text is no signature of a function."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function, or an error that a contract reverts with."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    """(name, type) of each; names may be empty."""
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def signature(self) -> str:
        """Name and types, as they are hashed."""
        return f"{self.name}({','.join(kind for _, kind in self.inputs)})"

    @property
    def selector(self) -> bytes:
        """First bytes of its calldata."""
        return keccak256(self.signature.encode())[:SELECTOR_BYTES]


STANDARD_ERRORS = (
    Function("Error", (("reason", "string"),)),
    Function("Panic", (("code", "uint256"),)),
)


@dataclass(frozen=True, slots=True)
class Abi:
    """What is known of a contract."""

    functions: tuple[Function, ...] = ()
    errors: tuple[Function, ...] = STANDARD_ERRORS

    def read_call(self, calldata: bytes) -> tuple[Function, dict[str, Any]] | None:
        """Give the function that calldata calls, with its arguments; None where none fits."""
        return _read(self.functions, calldata)

    def read_error(self, data: bytes) -> tuple[Function, dict[str, Any]] | None:
        """Give the error with which a contract reverted; None where none fits."""
        return _read(self.errors, data)


def read_output(function: Function, output: bytes) -> dict[str, Any] | None:
    """Give what a function returned; None where it does not fit."""
    return _arguments(function.outputs, output)


def load_abi(path: Path) -> Abi:
    """Read an ABI, or the artifact of a compiler that holds one under `abi`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadAbi(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        found = orjson.loads(path.read_bytes())
        entries = found["abi"] if isinstance(found, dict) else found
        listed = [(one.get("type"), _function_of(one)) for one in entries if "name" in one]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadAbi(f"{path} holds no ABI: {error!r}") from None
    functions = tuple(one for kind, one in listed if kind == "function")
    errors = tuple(one for kind, one in listed if kind == "error")
    return Abi(functions, STANDARD_ERRORS + errors)


def read_signature(text: str) -> Abi:
    """Read `name(types)`, with `(types)` of what it returns behind, as `cast` has it."""
    name, bracket, rest = text.replace(" ", "").partition("(")
    inputs, _, outputs = _split(bracket + rest)
    if not name.isidentifier():
        raise BadAbi(f"{text!r} is no signature such as transfer(address,uint256)(bool)")
    try:
        function = Function(name, _types(inputs), _types(outputs) if outputs else ())
    except ParseError:
        raise BadAbi(f"{text!r} names a type that does not exist") from None
    return Abi((function,))


def _split(text: str) -> tuple[str, str, str]:
    """Part the first bracketed list from what follows."""
    depth = 0
    for end, letter in enumerate(text, 1):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:end], "", text[end:]
    return text, "", ""


def _types(text: str) -> tuple[tuple[str, str], ...]:
    if text == "()":
        return ()
    parsed = parse(normalize(text))  # type: ignore[no-untyped-call]
    if not isinstance(parsed, TupleType) or parsed.arrlist:
        raise BadAbi(f"{text!r} is no list of types")
    kinds = []
    for one in parsed.components:
        kind = str(one.to_type_str())
        if not is_encodable_type(kind):
            raise BadAbi(f"there is no type {kind!r}")
        kinds.append(("", kind))
    return tuple(kinds)


def _function_of(entry: dict[str, Any]) -> Function:
    return Function(
        str(entry["name"]), _named(entry.get("inputs", ())), _named(entry.get("outputs", ()))
    )


def _named(entries: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(one.get("name", "")), _type_of(one)) for one in entries)


def _type_of(entry: dict[str, Any]) -> str:
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(map(_type_of, entry["components"]))
    return f"({inner}){kind.removeprefix('tuple')}"


def _read(functions: tuple[Function, ...], data: bytes) -> tuple[Function, dict[str, Any]] | None:
    for function in functions:
        if function.selector == data[:SELECTOR_BYTES]:
            arguments = _arguments(function.inputs, data[SELECTOR_BYTES:])
            if arguments is not None:
                return function, arguments
    return None


def _arguments(wanted: tuple[tuple[str, str], ...], data: bytes) -> dict[str, Any] | None:
    try:
        values = decode([kind for _, kind in wanted], data)
    except (DecodingError, ParseError, ValueError, OverflowError):
        return None
    names = (name or f"#{position}" for position, (name, _) in enumerate(wanted))
    return {name: _shown(value) for name, value in zip(names, values, strict=True)}


def _shown(value: Any) -> Any:
    """Give a value as JSON can hold it, whole numbers included."""
    match value:
        case bytes():
            return "0x" + value.hex()
        case list() | tuple():
            return [_shown(one) for one in value]
        case bool() | str():
            return value
        case _:
            return str(value)
