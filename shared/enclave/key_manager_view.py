"""
What an enclave knows of the key manager that it asks: by proof, and by signatures that it pins.

Consensus proves the policy and which epochs are open. It is not believed about the policy itself:
whoever owns the key manager's descriptor could list an enclave of his own there, to which every
enclave would tell what it wants to know, and from which it would take its keys. So the enclaves
that may answer are those of a policy that enough of the pinned signers have signed, and only where
the policy lets them answer exactly this enclave.
"""

from collections.abc import Mapping

from shared.enclave.errors import NotInitialized
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.key_policy import VerifiedPolicy, accept_policy
from shared.tee.config import EnclaveConfig
from shared.types.attestation import EnclaveIdentity, QuotePolicy
from shared.types.identity import Epoch, RuntimeId
from shared.types.keymanager import KeyManagerStatus
from shared.types.registry import RuntimeDescriptor


class KeyManagerView:
    """The key manager of one ParaTime. Changed by one thread, read by any."""

    def __init__(self, config: EnclaveConfig, own: EnclaveIdentity) -> None:
        """Begin with nothing known; `own` is the enclave that asks."""
        self._config, self._own = config, own
        self._descriptor: RuntimeDescriptor | None = None
        self._followed: VerifiedPolicy | None = None
        self._refusal: Rejected | None = None
        self._open_epochs: tuple[Epoch, ...] = ()

    @property
    def id(self) -> RuntimeId | None:
        """Runtime id; None for a ParaTime that has no key manager."""
        return self._config.key_manager

    @property
    def open_epochs(self) -> tuple[Epoch, ...]:
        """Earlier epochs of which there are keys; they stay the same for an epoch."""
        return self._open_epochs

    def follow(self, values: Mapping[bytes, bytes | None]) -> None:
        """Take up what proven values tell; a policy that may not be followed leaves the old one."""
        if self.id is None:
            return
        descriptor = values.get(state_keys.runtime_key(self.id))
        if descriptor is not None:
            self._descriptor = decode_record(RuntimeDescriptor, descriptor)
        status_key = state_keys.key_manager_status_key(self.id)
        if status_key not in values:
            return
        raw = values[status_key]
        status = KeyManagerStatus(self.id) if raw is None else decode_record(KeyManagerStatus, raw)
        self._open_epochs = status.open_epochs
        try:
            self._followed = accept_policy(
                status.policy,
                self._followed,
                runtime_id=self.id,
                signers=self._config.policy_signers,
                threshold=self._config.policy_threshold,
            )
            self._refusal = None
        except Rejected as refusal:
            self._refusal = refusal

    def forget_policy(self) -> None:
        """Forget the policy: in a later life of the chain an older one may return."""
        self._followed = None

    def quote_policy(self, epoch: Epoch) -> QuotePolicy:
        """Which quotes count, or `NotInitialized`."""
        deployment = None if self._descriptor is None else self._descriptor.active_deployment(epoch)
        if deployment is None:
            raise NotInitialized("no active deployment of a key manager is proven")
        return deployment.tee.policy

    def answering(self) -> tuple[EnclaveIdentity, ...]:
        """
        Give the key manager's enclaves that may answer this enclave.

        Raises
        ------
        NotInitialized
            No policy that the enclave could follow has been proven to it yet.
        """
        if self._followed is None:
            reason = "none is proven" if self._refusal is None else self._refusal.message
            raise NotInitialized(f"the enclave follows no policy of the key manager: {reason}")
        return tuple(
            entry.enclave
            for entry in self._followed.body.enclaves
            if self._own in entry.may_query.get(self._config.runtime_id, ())
        )
