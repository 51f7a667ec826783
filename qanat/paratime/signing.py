"""Signs and encrypts transactions as a client of the Oasis runtime SDK does."""

import secrets
from typing import Protocol

import evm_native

from shared.crypto.address import ethereum_address, staking_address
from shared.crypto.entropy import SystemEntropy
from shared.crypto.signing import Signer
from shared.errors import RuntimeRejected
from shared.rules import sealed_calls
from shared.rules.sealed_calls import EpochKey as EpochKey
from shared.rules.sealed_calls import Sealed as Sealed
from shared.rules.sealed_calls import open_result as open_result
from shared.types.sdk_transaction import (
    NATIVE,
    TRANSACTION_VERSION,
    AddressSpec,
    AuthInfo,
    Call,
    Fee,
    SignatureSpec,
    SignerInfo,
    Transaction,
    encode_signed,
    encode_transaction,
    signature_context,
)

DEFAULT_GAS = 1_000_000
_SECP256K1_OASIS = 3
"""Kind of key, as the native module and the precompiles number them."""


class Key(Protocol):
    """What signs transactions."""

    address: bytes
    """21 bytes."""

    @property
    def spec(self) -> AddressSpec:
        """How transactions name the signer."""

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context."""


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


class EthereumAccount:
    """The key of an Ethereum account, which signs transactions of the SDK's format as well."""

    def __init__(self, secret: bytes) -> None:
        """Take a 32-byte key, or raise `RuntimeRejected`."""
        any_digest = bytes(31) + b"\1"
        try:
            account = evm_native.recover_signer(
                any_digest, evm_native.sign_digest(secret, any_digest)
            )
        except evm_native.ConfigError as error:
            raise RuntimeRejected("core", 6, f"this is no key of an account: {error}") from None
        self._secret = secret
        self.public_key, _ = evm_native.keypair(_SECP256K1_OASIS, secret)
        self.address = ethereum_address(account)

    @property
    def spec(self) -> AddressSpec:
        """How transactions name this account."""
        return AddressSpec(SignatureSpec(secp256k1eth=self.public_key))

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context."""
        return evm_native.sign(_SECP256K1_OASIS, self._secret, context, message)

    def __repr__(self) -> str:
        return f"EthereumAccount({self.address.hex()}, <secret>)"


def seal_call(call: Call, to: EpochKey) -> Sealed:
    """Encrypt a call; each has a key of its own."""
    return sealed_calls.seal_call(call, to, SystemEntropy())


def sign_call(
    account: Key,
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
