"""
Transactions of the consensus layer.

Source: oasis-core go/consensus/api/transaction @ f9f1fdc.
"""

from dataclasses import dataclass
from typing import Annotated

from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signature, register_context
from shared.encoding.notes import AtMost
from shared.encoding.record import Natural, encode_record

CONSENSUS_TRANSACTION = register_context("qanat/consensus: tx")


@dataclass(frozen=True, slots=True)
class Fee:
    """What the sender offers."""

    amount: int
    """[base units]"""
    gas: Natural
    """CometBFT hashes it as a signed integer of 64 bits."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A call of one method of the consensus application."""

    nonce: int
    method: Annotated[str, AtMost(64)]
    """`module.Method`; see `docs/services/consensus.md` for the table."""
    body: bytes
    """The method's record, encoded."""
    fee: Fee | None = None


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """An encoded `Transaction` under its sender's key; context bound to the chain."""

    untrusted_raw_value: bytes
    signature: Signature

    def hash(self) -> bytes:
        """Hash by which the transaction is known."""
        return sha512_256(encode_record(self))


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """What became of a transaction. Code 0 is success."""

    code: int
    module: str = ""
    message: str = ""
    height: int = 0
    gas_used: int = 0
