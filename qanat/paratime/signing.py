"""Signs and encrypts transactions as a client of the Oasis runtime SDK does."""

import secrets
from dataclasses import dataclass
from typing import Any

import evm_native

from shared.crypto.address import staking_address
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.encoding.values import from_wire, to_wire
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import (
    NATIVE,
    TRANSACTION_VERSION,
    AddressSpec,
    AuthInfo,
    Call,
    CallFormat,
    Envelope,
    Fee,
    SealedResult,
    SignatureSpec,
    SignerInfo,
    Transaction,
    encode_signed,
    encode_transaction,
    signature_context,
)

DEFAULT_GAS = 1_000_000


class Account:
    """An Ed25519 key that signs transactions of ParaTimes."""

    def __init__(self, seed: bytes | None = None) -> None:
        """Take a 32-byte seed, or draw one."""
        self._signer = Signer(seed or secrets.token_bytes(32))
        self.public_key = self._signer.public_key
        self.address = staking_address(self.public_key)

    @property
    def spec(self) -> AddressSpec:
        """How transactions name this account."""
        return AddressSpec(SignatureSpec(ed25519=self.public_key))

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context."""
        return self._signer.sign(context, message)

    def __repr__(self) -> str:
        return f"Account({self.address.hex()}, <secret>)"


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


def seal_call(call: Call, to: EpochKey) -> Sealed:
    """Encrypt a call; each has a key of its own."""
    secret, nonce = secrets.token_bytes(32), secrets.token_bytes(15)
    key = evm_native.mrae_key(secret, to.key)
    data = evm_native.deoxysii_seal(key, nonce, cbor.encode(to_wire(Call, call)))
    envelope = Envelope(evm_native.x25519_public(secret), nonce, to.epoch, data)
    outer = Call(to_wire(Envelope, envelope), format=CallFormat.ENCRYPTED, ro=call.ro)
    return Sealed(outer, key)


def sign_call(
    account: Account,
    call: Call,
    *,
    nonce: int,
    runtime_id: bytes,
    chain_context: str,
    gas: int = DEFAULT_GAS,
    fee: int = 0,
    not_after: int | None = None,
) -> bytes:
    """Make a signed raw transaction of a call."""
    info = AuthInfo(
        si=(SignerInfo(account.spec, nonce),),
        fee=Fee(amount=(fee, NATIVE), gas=gas),
        not_after=not_after,
    )
    body = encode_transaction(Transaction(TRANSACTION_VERSION, call, info))
    return encode_signed(body, account.sign(signature_context(runtime_id, chain_context), body))


def open_result(result: bytes, key: bytes | None) -> Any:
    """
    Read a call result; gives the value.

    Raises
    ------
    RuntimeRejected
        The call failed.
    """
    value = cbor.decode(result)
    if isinstance(value, dict) and "unknown" in value and key is not None:
        sealed: SealedResult = from_wire(SealedResult, value["unknown"])
        value = cbor.decode(evm_native.deoxysii_open(key, sealed.nonce, sealed.data))
    match value:
        case {"ok": answer}:
            return answer
        case {"fail": {"module": str(module), "code": int(code), "message": str(message)}}:
            raise RuntimeRejected(module, code, message)
        case {"unknown": _}:
            raise RuntimeRejected("core", 18, "the result is sealed for somebody else")
        case _:
            raise RuntimeRejected("core", 10, "this is no call result")
