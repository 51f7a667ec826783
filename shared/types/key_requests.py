"""
What enclaves ask a key manager's enclave inside an attested session.

`KeyRequests` is the list of messages. The plaintext of a session message is one `frames.Request`
without the length before it, and the answer one `Response` or `Failure`; `encode_key_request` and
`decode_key_answer` are the asker's side of it. Who asks is known from the session, never from the
message: the key manager looks the asker's measurement up in the policy.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.encoding import frames
from shared.encoding.contract import find_method
from shared.encoding.record import Bytes32
from shared.errors import PeerFailed, Rejected, Unavailable
from shared.types.identity import (
    FIRST_INCARNATION,
    Epoch,
    Hash,
    Height,
    Incarnation,
    PublicKey,
    RuntimeId,
)
from shared.types.keymanager import SignedPublicKey

MAX_STALENESS_S = 600
"""
How far the asker's verified block may be behind the key manager's [s of consensus time].

Source: oasis-core keymanager/src/runtime/secrets.rs @ f9f1fdc, MAX_FRESH_HEIGHT_AGE of 600 blocks.
Blocks come on demand here, so time is compared (ADR 0002).
"""
MAX_KEY_PAIRS = 1024
"""Key pairs of one request; keeps an answer far below the size of a frame."""


class TooManyKeyPairs(Rejected, module="keys", code=30):
    """The request names more key pairs than one answer may carry."""


class PolicyMissing(Rejected, module="keys", code=4):
    """Consensus has no policy for this key manager."""


class QueryForbidden(Rejected, module="keys", code=5):
    """The policy does not give this enclave the keys of this ParaTime."""


class ReplicationForbidden(Rejected, module="keys", code=6):
    """The policy does not give this enclave the secrets themselves."""


class MasterSecretMissing(Unavailable, module="keys", code=10):
    """The master secret of the generation is not on this node."""


class FreshnessUnproven(Unavailable, module="keys", code=13):
    """
    The key manager's enclave cannot tell that its view of the chain is new.

    It has just started, and the registry is not proven yet to hold its key of this start; or the
    asker has verified much newer blocks.
    """


class OtherLife(Unavailable, module="keys", code=55):
    """Asker and key manager are in different lives of the chain; one of them will follow."""


class EphemeralSecretMissing(Unavailable, module="keys", code=20):
    """The secret of the epoch is not on this node, or not yet."""


class EpochOutOfReach(Rejected, module="keys", code=22):
    """The epoch is older than the policy allows."""


class StaleAsker(Rejected, module="keys", code=31):
    """The asker's newest verified block is too old: it must catch up with the chain first."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """The newest consensus block that the asker's light client has verified."""

    height: Height
    time_ns: int
    """Time in that block's header [ns]."""
    incarnation: Incarnation = FIRST_INCARNATION
    """Life of the chain in which it was made: an epoch that is lived again has other keys."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A released key pair. The secret halves do not show themselves."""

    state_key: Bytes32 = field(repr=False)
    """Symmetric key, for contract state."""
    secret_key: Bytes32 = field(repr=False)
    """X25519 private key."""
    public_key: PublicKey
    """X25519 public key."""


@dataclass(frozen=True, slots=True)
class ReplicatedSecret:
    """A master or ephemeral secret on its way to another key manager of the same runtime."""

    secret: Bytes32 = field(repr=False)
    checksum: Hash
    """Of the secret: for a master secret the link of the chain at its generation."""


class KeyRequests(Protocol):
    """Messages to a key manager's enclave; every one is answered inside the session only."""

    def get_or_create_keys(
        self,
        runtime_id: RuntimeId,
        key_pair_ids: tuple[Bytes32, ...],
        generation: int,
        view: ChainView,
    ) -> tuple[KeyPair, ...]:
        """Long-term pairs of a ParaTime, in the order of the ids."""
        ...

    def get_or_create_ephemeral_keys(
        self,
        runtime_id: RuntimeId,
        key_pair_ids: tuple[Bytes32, ...],
        epoch: Epoch,
        view: ChainView,
    ) -> tuple[KeyPair, ...]:
        """Pairs of one epoch of a ParaTime, in the order of the ids."""
        ...

    def get_public_ephemeral_key(
        self, runtime_id: RuntimeId, key_pair_id: Bytes32, epoch: Epoch
    ) -> SignedPublicKey:
        """Public half of an ephemeral pair, signed by the RSK."""
        ...

    def replicate_master_secret(self, generation: int, view: ChainView) -> ReplicatedSecret:
        """Master secret of a generation, for another key manager."""
        ...

    def replicate_ephemeral_secret(self, epoch: Epoch, view: ChainView) -> ReplicatedSecret:
        """Ephemeral secret of an epoch, for another key manager."""
        ...


def encode_key_request(method: str, **arguments: Any) -> bytes:
    """Plaintext of a request, such as `encode_key_request("replicate_master_secret", ...)`."""
    body = find_method(KeyRequests, method).encode_arguments((), arguments)
    return frames.encode_frame(frames.Request(0, method, body))[frames.LENGTH_BYTES :]


def decode_key_answer(method: str, untrusted: bytes) -> Any:
    """
    Read the plaintext of an answer: the result of the method.

    Raises
    ------
    QanatError
        What the key manager refused with, as the same class; `PeerFailed` where the answer is none.
    """
    match frames.decode_payload(untrusted):
        case frames.Response(body=body):
            return find_method(KeyRequests, method).decode_result(body)
        case frames.Failure() as failure:
            raise failure.error()
        case _:
            raise PeerFailed("the key manager's enclave did not answer with an answer")
