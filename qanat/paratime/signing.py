"""Signs and encrypts transactions as a client of the Oasis runtime SDK does."""

import secrets

from shared.crypto.address import staking_address
from shared.crypto.entropy import SystemEntropy
from shared.crypto.signing import Signer
from shared.rules import sealed_calls
from shared.rules.sealed_calls import EpochKey as EpochKey
from shared.rules.sealed_calls import Sealed as Sealed
from shared.rules.sealed_calls import open_result as open_result
from shared.rules.transaction_keys import TransactionKey
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


def seal_call(call: Call, to: EpochKey) -> Sealed:
    """Encrypt a call; each has a key of its own."""
    return sealed_calls.seal_call(call, to, SystemEntropy())


def sign_call(
    account: TransactionKey,
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
