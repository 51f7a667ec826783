"""
The policy that this enclave follows, remembered over restarts.

It is sealed, not because it is secret, but so that the host cannot write an older one of its own
there. Upstream does the same: keymanager/src/policy/cached.rs @ f9f1fdc.
"""

from dataclasses import dataclass

from services.keymanager.enclave.files import Files
from shared.encoding.record import decode_record, encode_record
from shared.errors import Unavailable
from shared.rules.key_policy import VerifiedPolicy, accept_policy
from shared.tee.config import EnclaveConfig
from shared.tee.sealing import CannotUnseal, Sealer
from shared.types.identity import Incarnation
from shared.types.keymanager import SignedPolicy

POLICY_SEAL = b"oasis-core/keymanager: policy seal"
POLICY_FILE = "policy.sealed"


class VoidIncarnation(Unavailable, module="keys", code=54):
    """The chain is shown in an earlier life than the one in which a policy was followed."""


@dataclass(frozen=True, slots=True)
class SealedPolicy:
    """What is sealed."""

    signed: SignedPolicy
    incarnation: Incarnation
    """Life of the chain in which it was followed; in a later one an older policy may return."""


class PolicyRecord:
    """The newest policy that was verified."""

    def __init__(self, config: EnclaveConfig, sealer: Sealer, files: Files) -> None:
        self._config, self._sealer, self._files = config, sealer, files
        self._incarnation = Incarnation(0)
        self.followed = self._recall()

    def follow(self, signed: SignedPolicy | None, incarnation: Incarnation) -> VerifiedPolicy:
        """
        Follow the policy that consensus holds.

        Raises
        ------
        Rejected
            As `accept_policy`; the enclave goes on with the policy it followed.
        VoidIncarnation
            See the class.
        """
        if incarnation < self._incarnation:
            raise VoidIncarnation(f"incarnation {incarnation}, {self._incarnation} was followed")
        # The chain may have gone back to before the policy that was followed.
        followed = self.followed if incarnation == self._incarnation else None
        accepted = self._accept(signed, followed)
        if accepted is not followed:
            sealed = SealedPolicy(accepted.signed, incarnation)
            self._files.save(POLICY_FILE, self._sealer.seal(POLICY_SEAL, encode_record(sealed)))
            self.followed, self._incarnation = accepted, incarnation
        return accepted

    def _accept(
        self, signed: SignedPolicy | None, followed: VerifiedPolicy | None
    ) -> VerifiedPolicy:
        return accept_policy(
            signed,
            followed,
            runtime_id=self._config.runtime_id,
            signers=self._config.policy_signers,
            threshold=self._config.policy_threshold,
        )

    def _recall(self) -> VerifiedPolicy | None:
        blob = self._files.load(POLICY_FILE)
        if blob is None:
            return None
        try:
            raw = self._sealer.unseal(POLICY_SEAL, blob)
        except CannotUnseal:
            # Of another measurement or platform: this enclave starts without a memory.
            return None
        sealed = decode_record(SealedPolicy, raw)
        self._incarnation = sealed.incarnation
        return self._accept(sealed.signed, None)
