"""
The policy as this enclave sees it: who may have which secret.

Consensus keeps the policy but is not believed about it: its signers and their threshold are part of
the enclave's measured configuration, and its serial only grows.
"""

from dataclasses import dataclass

from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules.key_policy import policy_checksum, verify_policy_signatures
from shared.types.attestation import EnclaveIdentity
from shared.types.key_requests import PolicyMissing, QueryForbidden, ReplicationForbidden
from shared.types.keymanager import EnclavePolicy, Policy, SignedPolicy


class PolicyForOther(Rejected, module="keys", code=2):
    """The policy is for another key manager."""


class PolicyRolledBack(Rejected, module="keys", code=3):
    """The serial is below that of a policy this enclave has followed, or its content changed."""


@dataclass(frozen=True, slots=True)
class VerifiedPolicy:
    """A policy whose signatures were counted."""

    body: Policy
    signed: SignedPolicy
    checksum: bytes


def accept_policy(
    signed: SignedPolicy | None,
    followed: VerifiedPolicy | None,
    *,
    runtime_id: bytes,
    signers: tuple[bytes, ...],
    threshold: int,
) -> VerifiedPolicy:
    """
    Accept the policy that consensus holds, after the one that this enclave followed so far.

    Raises
    ------
    PolicyMissing, TooFewPolicySigners, BadSignature, PolicyForOther, PolicyRolledBack
        See each class. The enclave then goes on with the policy it followed.
    """
    if signed is None:
        raise PolicyMissing("there is no policy, so nobody may have any key")
    checksum = policy_checksum(signed)
    if followed is not None and followed.checksum == checksum:
        return followed
    verify_policy_signatures(signed, signers=signers, threshold=threshold)
    body = decode_record(Policy, signed.untrusted_raw_value)
    if body.id != runtime_id:
        raise PolicyForOther(f"the policy is for {body.id.hex()}")
    if followed is not None and body.serial <= followed.body.serial:
        raise PolicyRolledBack(f"serial {body.serial} after {followed.body.serial}")
    return VerifiedPolicy(body, signed, checksum)


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
