"""
Hashes of typed data, as `eth_signTypedData_v4` signs them. Pure.

Source: EIP-712; MetaMask's version 4 for arrays and for what is left out (null is 32 zero bytes).
"""

import re
from typing import Any

from services.gateway.rpc.parameters import BadParameter
from shared.crypto.hashes import keccak256

MAX_DEPTH = 32
"""Levels of structures and arrays."""
DOMAIN = "EIP712Domain"
_ARRAY = re.compile(r"(.+)\[(\d*)\]\Z")
_SIZED = re.compile(r"(u?int|bytes)(\d{0,3})\Z")

Types = dict[str, list[tuple[str, str]]]
"""(name, type) of each member, by name of the structure."""


def hash_typed_data(untrusted: Any) -> bytes:
    """Give the digest of typed data, or raise `BadParameter`."""
    if type(untrusted) is not dict or untrusted.keys() < {"types", "primaryType", "message"}:
        raise BadParameter("typed data has types, primaryType, domain and message")
    types = _types(untrusted["types"])
    primary, domain = untrusted["primaryType"], untrusted.get("domain", {})
    if type(primary) is not str or primary not in types:
        raise BadParameter("primaryType is none of the types")
    types.setdefault(DOMAIN, [])
    digest = b"\x19\x01" + _hash_structure(types, DOMAIN, domain, 0)
    if primary != DOMAIN:
        digest += _hash_structure(types, primary, untrusted["message"], 0)
    return keccak256(digest)


def _types(untrusted: Any) -> Types:
    if type(untrusted) is not dict:
        raise BadParameter("types is an object")
    types: Types = {}
    for name, members in untrusted.items():
        if type(members) is not list:
            raise BadParameter(f"type {name} has a list of members")
        types[name] = [_member(name, one) for one in members]
    return types


def _member(structure: str, untrusted: Any) -> tuple[str, str]:
    match untrusted:
        case {"name": str(name), "type": str(kind)}:
            return name, kind
        case _:
            raise BadParameter(f"a member of {structure} has name and type")


def _hash_structure(types: Types, name: str, value: Any, depth: int) -> bytes:
    if type(value) is not dict:
        raise BadParameter(f"a {name} is an object")
    encoded = [keccak256(_describe(types, name).encode())]
    for member, kind in types[name]:
        encoded.append(_encode(types, kind, value.get(member), depth + 1))
    return keccak256(b"".join(encoded))


def _describe(types: Types, name: str) -> str:
    """Give the type with all that it uses, those by name."""
    used, waiting = set[str](), [name]
    while waiting:
        one = waiting.pop()
        if one not in types or one in used:
            continue
        used.add(one)
        waiting += [_element(kind) for _, kind in types[one]]
    ordered = [name, *sorted(used - {name})]
    return "".join(
        f"{one}({','.join(f'{kind} {member}' for member, kind in types[one])})" for one in ordered
    )


def _element(kind: str) -> str:
    while found := _ARRAY.match(kind):
        kind = found[1]
    return kind


def _encode(types: Types, kind: str, value: Any, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise BadParameter("typed data nests too deep")
    if array := _ARRAY.match(kind):
        if type(value) is not list or (array[2] and len(value) != int(array[2])):
            raise BadParameter(f"a {kind} is a list of that length")
        return keccak256(b"".join(_encode(types, array[1], one, depth + 1) for one in value))
    if kind in types:
        return bytes(32) if value is None else _hash_structure(types, kind, value, depth)
    if kind == "string":
        if type(value) is not str:
            raise BadParameter("a string is a text")
        return keccak256(value.encode("utf-8", "surrogatepass"))
    if kind == "bytes":
        return keccak256(_bytes(kind, value))
    return _encode_word(kind, value)


def _encode_word(kind: str, value: Any) -> bytes:
    if kind == "bool":
        if type(value) is not bool:
            raise BadParameter("a bool is true or false")
        return int(value).to_bytes(32, "big")
    if kind == "address":
        raw = _bytes(kind, value)
        if len(raw) != 20:
            raise BadParameter("an address has 20 bytes")
        return raw.rjust(32, b"\0")
    sized = _SIZED.match(kind)
    if sized is None:
        raise BadParameter(f"there is no type {kind!r}")
    size = int(sized[2] or 256)
    if sized[1] == "bytes":
        raw = _bytes(kind, value)
        if not 0 < size <= 32 or len(raw) != size:
            raise BadParameter(f"a {kind} has so many bytes, at most 32")
        return raw.ljust(32, b"\0")
    if size % 8 or not 0 < size <= 256:
        raise BadParameter(f"there is no type {kind!r}")
    number, is_signed = _number(kind, value), sized[1] == "int"
    least, end = (-(1 << size - 1), 1 << size - 1) if is_signed else (0, 1 << size)
    if not least <= number < end:
        raise BadParameter(f"{number} is no {kind}")
    return number.to_bytes(32, "big", signed=is_signed)


def _number(kind: str, value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= 80:
        try:
            return int(value, 16 if value.lower().startswith(("0x", "-0x")) else 10)
        except ValueError:
            pass
    raise BadParameter(f"{value!r:.80} is no {kind}")


def _bytes(kind: str, value: Any) -> bytes:
    if type(value) is str and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise BadParameter(f"a {kind} is bytes in hex")
