"""
The policy as this enclave sees it: who may have which secret.

Whether to follow a policy at all is decided by `shared.rules.key_policy.accept_policy`.
"""

from shared.types.attestation import EnclaveIdentity
from shared.types.key_requests import QueryForbidden, ReplicationForbidden
from shared.types.keymanager import EnclavePolicy, Policy


class Permissions:
    """What the policy says about one key-manager enclave: this one."""

    def __init__(self, policy: Policy, own: EnclaveIdentity) -> None:
        self._own = own
        self._enclaves: dict[EnclaveIdentity, EnclavePolicy] = {
            entry.enclave: entry for entry in policy.enclaves
        }
        self.max_ephemeral_secret_age = policy.max_ephemeral_secret_age
        self.rotation_interval = policy.master_secret_rotation_interval

    def verify_may_query(self, peer: EnclaveIdentity, runtime_id: bytes) -> None:
        """Raise `QueryForbidden` unless the peer is listed for exactly this ParaTime."""
        entry = self._enclaves.get(self._own)
        if entry is None or peer not in entry.may_query.get(runtime_id, ()):
            raise QueryForbidden(
                f"enclave {peer.mr_enclave.hex()} may not have keys of {runtime_id.hex()}"
            )

    def verify_may_replicate(self, peer: EnclaveIdentity) -> None:
        """Raise `ReplicationForbidden` unless the peer is the same code, or listed as a heir."""
        if peer not in self.heirs():
            raise ReplicationForbidden(f"enclave {peer.mr_enclave.hex()} may not have secrets")

    def heirs(self) -> tuple[EnclaveIdentity, ...]:
        """Enclaves that get this enclave's secrets: itself first."""
        entry = self._enclaves.get(self._own)
        return (self._own, *(entry.may_replicate if entry is not None else ()))

    def sources(self) -> tuple[EnclaveIdentity, ...]:
        """Enclaves from which this one may take secrets: itself first."""
        others = tuple(
            identity
            for identity, entry in self._enclaves.items()
            if self._own in entry.may_replicate and identity != self._own
        )
        return (self._own, *others)

    def customers(self) -> tuple[EnclaveIdentity, ...]:
        """Every enclave that may open a session: heirs, and all that get keys of some ParaTime."""
        entry = self._enclaves.get(self._own)
        listed = dict.fromkeys(self.heirs())
        if entry is not None:
            for identities in entry.may_query.values():
                listed.update(dict.fromkeys(identities))
        return tuple(listed)
