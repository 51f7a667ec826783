"""
Encrypted calls and their results.

Source: oasis-sdk `runtime-sdk/src/callformat.rs` @ 00da39c. A call is sealed to the key of an
epoch, of which the current one and five older are accepted; its result goes back under the same
shared key.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import evm_native

from runtimes.python import errors
from shared.enclave.key_client import RoundKeys
from shared.encoding import cbor
from shared.encoding.record import MalformedRecord
from shared.encoding.values import from_wire, to_wire
from shared.types.sdk_transaction import Call, CallFormat, Envelope, SealedResult

OLDEST = 5
"""Epochs back."""
OPEN_GAS = 10_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A call in the clear."""

    call: Call
    key: bytes | None = field(repr=False)
    """Shared with the client; None where the call came plain."""


def open_call(call: Call, epoch: int, keys: Callable[[], RoundKeys] | None) -> Opened:
    """
    Open a call, or raise `RuntimeRejected` (`core` 18).

    `keys` None stands for a ParaTime without secrets.
    """
    if call.format is CallFormat.PLAIN:
        return Opened(call, None)
    if keys is None:
        raise errors.invalid_call_format("this ParaTime is not confidential")
    if call.method:
        raise errors.invalid_call_format("the method belongs into the envelope")
    try:
        envelope: Envelope = from_wire(Envelope, call.body)
    except MalformedRecord as error:
        raise errors.invalid_call_format(error.message) from None
    if envelope.epoch > epoch:
        raise errors.invalid_call_format("epoch in the future")
    if envelope.epoch + OLDEST < epoch:
        raise errors.invalid_call_format("epoch too far in the past")
    secret = keys().call_secrets.get(envelope.epoch)
    if secret is None:
        raise errors.invalid_call_format("there is no key of that epoch")
    key = evm_native.mrae_key(secret, envelope.pk)
    try:
        inner = from_wire(
            Call, cbor.decode(evm_native.deoxysii_open(key, envelope.nonce, envelope.data))
        )
    except (evm_native.InvalidTag, cbor.MalformedCbor, MalformedRecord):
        raise errors.invalid_call_format("the envelope does not open") from None
    if inner.format is not CallFormat.PLAIN or inner.ro != call.ro:
        raise errors.invalid_call_format("an envelope in an envelope")
    return Opened(inner, key)


def seal_result(result: Any, key: bytes | None, nonce: bytes | None) -> bytes:
    """Encode a call result; without `nonce`, in a query, one is drawn."""
    if key is None:
        return cbor.encode(result)
    nonce = nonce if nonce is not None else secrets.token_bytes(15)
    sealed = SealedResult(nonce, evm_native.deoxysii_seal(key, nonce, cbor.encode(result)))
    return cbor.encode({"unknown": to_wire(SealedResult, sealed)})


def result_nonce(round_: int, index: int) -> bytes:
    """Of the result of a round's transaction: round ‖ index ‖ 000."""
    return round_.to_bytes(8, "big") + index.to_bytes(4, "big") + bytes(3)
