"""Contracts that hand their calldata to the sub-call precompile, and what to hand to them."""

from typing import Any

import cbor2
from eth_abi import encode

SUBCALL = bytes.fromhex("0100000000000000000000000000000000000103")
ASK = bytes.fromhex("365f5f375f5f365f5f73") + SUBCALL + bytes.fromhex("5af13d5f5f3e")
FORWARD = ASK + bytes.fromhex("602a573d5ffd5b3d5ff3")
"""Hands its calldata to the sub-call precompile, and gives what comes back."""
REGRET = ASK + bytes.fromhex("505f5ffd")
"""Does the same, and reverts."""
READ = ASK.replace(bytes.fromhex("5f5f365f5f73"), bytes.fromhex("5f5f365f73")).replace(
    bytes.fromhex("5af1"), bytes.fromhex("5afa")
) + bytes.fromhex("3d5ff3")
"""Does the same by a static call."""
SWALLOW = bytes.fromhex("6020360360205f375f5f602036035f5f5f355af15000")
"""Calls the address in the first word with the rest of its calldata, whatever comes of it."""
UNIT = 10**9
"""Base units here in one of consensus."""
MINIMUM = 100 * 10**18
"""Least that is delegated at once."""


def init_code(code: bytes) -> bytes:
    """Init code that deploys `code`."""
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600b5f395ff300") + code


def asked(method: str, body: Any) -> bytes:
    """Calldata that asks for a method with a body."""
    return encode(["bytes", "bytes"], [method.encode(), cbor2.dumps(body, canonical=True)])


def amount(number: int) -> list[bytes]:
    """An amount of native tokens as upstream's Solidity library writes it: with leading zeros."""
    return [number.to_bytes(16, "big"), b""]
