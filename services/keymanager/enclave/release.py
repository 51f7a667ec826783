"""
The release of keys: every rule that stands between an asker and a secret.

An asker is an enclave at the other end of an attested session. It gets the private keys of a
ParaTime if the policy lists its exact code for that ParaTime, and the secrets themselves if the
policy makes it an heir; in both cases only if both views of the chain are fresh: an enclave whose
host shows it an old chain learns nothing, and releases nothing.
"""

from services.keymanager.enclave.vault import Vault
from shared.encoding import frames
from shared.encoding.contract import serve_call_now
from shared.errors import BadRequest, QanatError
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import Epoch, RuntimeId
from shared.types.key_requests import (
    MAX_KEY_PAIRS,
    MAX_STALENESS_S,
    ChainView,
    FreshnessUnproven,
    KeyPair,
    KeyRequests,
    OtherLife,
    ReplicatedSecret,
    StaleAsker,
    TooManyKeyPairs,
)
from shared.types.keymanager import SignedPublicKey

NANOSECONDS = 1_000_000_000


class KeyRelease:
    """Answers `KeyRequests` of one peer."""

    def __init__(self, vault: Vault, peer: EnclaveIdentity) -> None:
        self._vault, self._peer = vault, peer

    def get_or_create_keys(
        self,
        runtime_id: RuntimeId,
        key_pair_ids: tuple[bytes, ...],
        generation: int,
        view: ChainView,
    ) -> tuple[KeyPair, ...]:
        """Release long-term pairs of a ParaTime."""
        self._verify_may_query(runtime_id, key_pair_ids, view)
        return tuple(
            self._vault.long_term_keys(runtime_id, id_, generation) for id_ in key_pair_ids
        )

    def get_or_create_ephemeral_keys(
        self,
        runtime_id: RuntimeId,
        key_pair_ids: tuple[bytes, ...],
        epoch: Epoch,
        view: ChainView,
    ) -> tuple[KeyPair, ...]:
        """Release pairs of one epoch of a ParaTime."""
        self._verify_may_query(runtime_id, key_pair_ids, view)
        return tuple(self._vault.ephemeral_keys(runtime_id, id_, epoch) for id_ in key_pair_ids)

    def get_public_ephemeral_key(
        self, runtime_id: RuntimeId, key_pair_id: bytes, epoch: Epoch
    ) -> SignedPublicKey:
        """Vouch for the public half of an ephemeral pair; anybody may ask."""
        return self._vault.ephemeral_public_key(runtime_id, key_pair_id, epoch)

    def replicate_master_secret(self, generation: int, view: ChainView) -> ReplicatedSecret:
        """Hand the master secret of a generation to an heir."""
        self._verify_may_replicate(view)
        link = self._vault.master.link(generation)
        return ReplicatedSecret(link.secret.reveal(), link.checksum)

    def replicate_ephemeral_secret(self, epoch: Epoch, view: ChainView) -> ReplicatedSecret:
        """Hand the ephemeral secret of an epoch to an heir."""
        self._verify_may_replicate(view)
        held = self._vault.ephemeral.get(epoch)
        return ReplicatedSecret(held.secret.reveal(), held.checksum)

    def _verify_may_query(
        self, runtime_id: bytes, key_pair_ids: tuple[bytes, ...], view: ChainView
    ) -> None:
        self._vault.permissions.verify_may_query(self._peer, runtime_id)
        self._verify_fresh(view)
        if len(key_pair_ids) > MAX_KEY_PAIRS:
            raise TooManyKeyPairs(f"{len(key_pair_ids)} key pairs, at most {MAX_KEY_PAIRS}")

    def _verify_may_replicate(self, view: ChainView) -> None:
        self._vault.permissions.verify_may_replicate(self._peer)
        self._verify_fresh(view)

    def _verify_fresh(self, view: ChainView) -> None:
        self._vault.verify_fresh()
        if view.incarnation != self._vault.position.incarnation:
            # One of the two has secrets, or epochs, that are void.
            raise OtherLife(
                f"incarnation {view.incarnation}, the key manager is in "
                f"{self._vault.position.incarnation}"
            )
        behind_ns = self._vault.position.time_ns - view.time_ns
        if behind_ns < -MAX_STALENESS_S * NANOSECONDS:
            raise FreshnessUnproven(
                f"the key manager is {-behind_ns // NANOSECONDS} s behind block {view.height}"
            )
        if behind_ns > MAX_STALENESS_S * NANOSECONDS:
            raise StaleAsker(
                f"block {view.height} is {behind_ns // NANOSECONDS} s behind, "
                f"at most {MAX_STALENESS_S} s are allowed"
            )


def answer_request(release: KeyRelease, untrusted: bytes) -> bytes:
    """Answer the plaintext of one session message, refusals included, as plaintext."""
    answer: frames.Frame
    try:
        match frames.decode_payload(untrusted):
            case frames.Request(id=id_, method=method, body=body):
                answer = frames.Response(id_, serve_call_now(KeyRequests, release, method, body))
            case _:
                raise BadRequest("a session message is a request")
    except QanatError as error:
        answer = frames.Failure.of(0, error)
    return frames.encode_frame(answer)[frames.LENGTH_BYTES :]
