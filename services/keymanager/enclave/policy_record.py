"""
The policy that this enclave follows, remembered over restarts.

It is sealed, not because it is secret, but so that the host cannot write an older one of its own
there. Upstream does the same: keymanager/src/policy/cached.rs @ f9f1fdc.
"""

from services.keymanager.enclave.files import Files
from services.keymanager.enclave.policy import VerifiedPolicy, accept_policy
from shared.encoding.record import decode_record, encode_record
from shared.tee.config import EnclaveConfig
from shared.tee.sealing import CannotUnseal, Sealer
from shared.types.keymanager import SignedPolicy

POLICY_SEAL = b"oasis-core/keymanager: policy seal"
POLICY_FILE = "policy.sealed"


class PolicyRecord:
    """The newest policy that was verified."""

    def __init__(self, config: EnclaveConfig, sealer: Sealer, files: Files) -> None:
        self._config, self._sealer, self._files = config, sealer, files
        self.followed = self._recall()

    def follow(self, signed: SignedPolicy | None) -> VerifiedPolicy:
        """
        Follow the policy that consensus holds.

        Raises
        ------
        Rejected
            As `accept_policy`; the enclave goes on with the policy it followed.
        """
        accepted = self._accept(signed, self.followed)
        if accepted is not self.followed:
            blob = self._sealer.seal(POLICY_SEAL, encode_record(accepted.signed))
            self._files.save(POLICY_FILE, blob)
            self.followed = accepted
        return accepted

    def forget(self) -> None:
        """Begin anew: the chain went back to before the policy that was followed."""
        self.followed = None
        self._files.delete(POLICY_FILE)

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
        return self._accept(decode_record(SignedPolicy, raw), None)
