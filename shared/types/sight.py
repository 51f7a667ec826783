"""
Records with which an owner asks an enclave, and is answered.

What a transaction did may be asked by the network's owner and by its sender; anything else, of the
state of a round, by the network's owner alone. The host and the gateway carry both and can read
neither: a question names nothing secret or is sealed, an answer is sealed to the asker.
"""

from dataclasses import dataclass
from typing import Annotated

from shared.crypto.signing import register_context
from shared.encoding.notes import AtMost, Size
from shared.encoding.record import Bytes32, Bytes64
from shared.types.identity import Epoch, Round

VIEW_REQUEST = register_context("qanat/evm: view request")
OWNER_QUESTION = register_context("qanat/evm: question of the owner")
MAX_STYLE_BYTES = 64 * 1024
MAX_QUESTION_BYTES = 2 * 1024 * 1024
"""Of a sealed question; twice as many characters fit into a request to a gateway."""
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
class Question:
    """What the network's owner asks; opened by the enclave alone."""

    method: str
    """One of `EvmQuery`, of those that are his to ask."""
    arguments: bytes
    """As the method takes them."""


@dataclass(frozen=True, slots=True)
class OwnerQuestion:
    """A `Question`, sealed to the calldata key of an epoch. Signed by the network's debug key."""

    asker: Bytes32
    """X25519 key with which it is sealed, and to which the answer is."""
    expires_s: int
    """Consensus time until which it is answered [Unix s]."""
    round: Round
    """On whose state it is answered, and on no other's."""
    epoch: Epoch
    """Of the calldata key."""
    nonce: Annotated[bytes, Size(NONCE_BYTES)]
    data: Annotated[bytes, AtMost(MAX_QUESTION_BYTES)]


@dataclass(frozen=True, slots=True)
class SignedQuestion:
    """A question with the signature of the debug key."""

    question: OwnerQuestion
    signature: Bytes64


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a question has no answer; a revert says what a contract keeps, so it is sealed too."""

    module: str
    code: int
    message: str
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class OwnerAnswer:
    """What the owner opens."""

    value: bytes
    """As the method gives it; empty beside a failure."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SealedView:
    """A `View` or `OwnerAnswer`, sealed to the asker by the calldata key of an epoch."""

    epoch: Epoch
    nonce: Annotated[bytes, Size(NONCE_BYTES)]
    data: bytes
