"""
Records with which the owner of a transaction asks an enclave what it did, and is answered.

The host and the gateway carry both and can read neither: the question names nothing secret, the
answer is sealed to the asker.
"""

from dataclasses import dataclass
from typing import Annotated

from shared.crypto.signing import register_context
from shared.encoding.notes import AtMost, Size
from shared.encoding.record import Bytes32
from shared.types.identity import Epoch, Round

VIEW_REQUEST = register_context("qanat/evm: view request")
MAX_STYLE_BYTES = 64 * 1024
NONCE_BYTES = 15


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """
    Asks what a transaction did.

    Signed by the network's debug key, or by the account that sent the transaction.
    """

    transaction: Bytes32
    """Its hash, Keccak-256."""
    asker: Bytes32
    """X25519 key to which the answer is sealed."""
    expires_s: int
    """Consensus time until which it is answered [Unix s]."""
    style: Annotated[bytes, AtMost(MAX_STYLE_BYTES)] = b""
    """JSON of `evm_core::tracing::Style`; of a sender it is empty, which gives him his own call."""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A request with what the enclave needs to answer it; put to the state of the round before."""

    request: ViewRequest
    signature: bytes
    """64 bytes of the debug key, or 65 of the sender: r ‖ s ‖ v over `view_digest`."""
    transactions: tuple[bytes, ...]
    """Raw ones of the round, all of them, in order."""
    results: tuple[bytes, ...]
    """Their result records."""
    epoch: Epoch | None = None
    """
    Epoch in which the round ran, as the host says; None is that of now.

    Nothing proves it but the outcome: in another epoch the results are not those of the round.
    """


@dataclass(frozen=True, slots=True)
class View:
    """What the asker opens."""

    round: Round
    position: int
    """Of the transaction in the round."""
    trace: bytes
    """JSON, in the style of the request."""


@dataclass(frozen=True, slots=True)
class SealedView:
    """A `View`, sealed to the asker by the calldata key of an epoch."""

    epoch: Epoch
    nonce: Annotated[bytes, Size(NONCE_BYTES)]
    data: bytes
