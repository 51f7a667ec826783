"""
Calls in envelopes, as clients of the Oasis runtime SDK write them, and their results.

Source: oasis-sdk `runtime-sdk/src/callformat.rs` @ 00da39c.
"""

from dataclasses import dataclass
from typing import Any

import evm_native

from shared.crypto.entropy import Entropy
from shared.encoding import cbor
from shared.encoding.values import from_wire, to_wire
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import Call, CallFormat, Envelope, SealedResult

_NONCE_BYTES = 15


@dataclass(frozen=True, slots=True)
class EpochKey:
    """The key to which calls of an epoch are encrypted."""

    epoch: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A call in an envelope, and what opens its result."""

    call: Call
    key: bytes

    def __repr__(self) -> str:
        return "Sealed(<secret>)"


def seal_call(call: Call, to: EpochKey, entropy: Entropy) -> Sealed:
    """Encrypt a call; each has a key of its own."""
    secret = entropy.draw("call secret", 32)
    nonce = entropy.draw("call nonce", _NONCE_BYTES)
    key = evm_native.mrae_key(secret, to.key)
    data = evm_native.deoxysii_seal(key, nonce, cbor.encode(to_wire(Call, call)))
    envelope = Envelope(evm_native.x25519_public(secret), nonce, to.epoch, data)
    outer = Call(to_wire(Envelope, envelope), format=CallFormat.ENCRYPTED, ro=call.ro)
    return Sealed(outer, key)


def open_sealed(result: bytes, key: bytes | None) -> Any:
    """
    Open a call result as far as `key` does: `{ok}`, `{fail}`, or `{unknown}` for somebody else.

    Where the call was sealed, success in the clear is forged: anybody between could write it.
    A failure may be, since a call that cannot be opened is refused in the clear.

    Raises
    ------
    RuntimeRejected
        It is no call result, does not open, or should have been sealed.
    """
    value = cbor.decode(result)
    if not isinstance(value, dict):
        raise RuntimeRejected("core", 10, "this is no call result")
    if key is None:
        return value
    if "unknown" not in value:
        if "ok" in value:
            raise RuntimeRejected("core", 10, "the result of a sealed call is not sealed")
        return value
    sealed: SealedResult = from_wire(SealedResult, value["unknown"])
    try:
        return cbor.decode(evm_native.deoxysii_open(key, sealed.nonce, sealed.data))
    except evm_native.InvalidTag:
        raise RuntimeRejected("core", 10, "the result does not open") from None


def open_result(result: bytes, key: bytes | None) -> Any:
    """
    Read a call result; gives the value.

    Raises
    ------
    RuntimeRejected
        The call failed.
    """
    match open_sealed(result, key):
        case {"ok": answer}:
            return answer
        case {"fail": {"module": str(module), "code": int(code), "message": str(message)}}:
            raise RuntimeRejected(module, code, message)
        case {"unknown": _}:
            raise RuntimeRejected("core", 18, "the result is sealed for somebody else")
        case _:
            raise RuntimeRejected("core", 10, "this is no call result")
