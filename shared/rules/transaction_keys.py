"""Keys that sign transactions of the SDK's format, and signing by several of them."""

from typing import Protocol

import evm_native

from shared.crypto.address import ethereum_address, staking_address
from shared.crypto.signing import Signer
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import (
    NATIVE,
    TRANSACTION_VERSION,
    AddressSpec,
    AuthInfo,
    Call,
    Fee,
    FeeProxy,
    SignatureSpec,
    SignerInfo,
    Transaction,
    encode_signed,
    encode_transaction,
)

SECP256K1_OASIS = 3
"""Kind of key, as the native module and the precompiles number them."""
PROXY_MODULE = "rofl"


class TransactionKey(Protocol):
    """What signs transactions."""

    address: bytes
    """21 bytes."""

    @property
    def spec(self) -> AddressSpec:
        """How transactions name the signer."""
        ...

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context."""
        ...


class Ed25519Key:
    """Signs as attestation keys do."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.address = staking_address(signer.public_key)
        self.spec = AddressSpec(SignatureSpec(ed25519=signer.public_key))

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context; 64 bytes."""
        return self._signer.sign(context, message)


class EthereumKey:
    """Signs as an Ethereum account, which calls contracts."""

    def __init__(self, secret: bytes) -> None:
        """Take a 32-byte scalar, or raise `RuntimeRejected`."""
        digest = bytes(31) + b"\1"
        try:
            signature = evm_native.sign_digest(secret, digest)
        except evm_native.ConfigError as error:
            raise RuntimeRejected("core", 6, f"this is no key of an account: {error}") from None
        self.account = evm_native.recover_signer(digest, signature)
        """20 bytes."""
        self._secret = secret
        self.public_key, _ = evm_native.keypair(SECP256K1_OASIS, secret)
        self.address = ethereum_address(self.account)
        self.spec = AddressSpec(SignatureSpec(secp256k1eth=self.public_key))

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context; DER."""
        return evm_native.sign(SECP256K1_OASIS, self._secret, context, message)

    def __repr__(self) -> str:
        return f"EthereumKey({self.account.hex()}, <secret>)"


def sign_transaction(
    call: Call,
    keys: tuple[tuple[TransactionKey, int], ...],
    *,
    context: bytes,
    gas: int,
    gas_price: int,
    proxy: bytes | None = None,
) -> bytes:
    """
    Make a signed raw transaction.

    Parameters
    ----------
    call : `Call`
        In the clear, or in an envelope.
    keys : `tuple`
        (key, nonce) of each signer; the first one is the sender.
    context : `bytes`
        As of `signature_context`.
    gas, gas_price : `int`
        Most that it may use, and what each unit costs [wei-like base units].
    proxy : `bytes`, optional
        App id whose policy says who pays; None for the sender.
    """
    signers = tuple(SignerInfo(key.spec, nonce) for key, nonce in keys)
    payer = None if proxy is None else FeeProxy(PROXY_MODULE, proxy)
    fee = Fee((gas * gas_price, NATIVE), gas, proxy=payer)
    body = encode_transaction(Transaction(TRANSACTION_VERSION, call, AuthInfo(signers, fee)))
    return encode_signed(body, *(key.sign(context, body) for key, _ in keys))
