"""
To whom a new secret is encrypted.

Consensus has verified every node's attestation before it registered the node. The enclave does it
again, because a secret that reached a forged REK would be lost for ever: only an enclave that may
have the secrets by policy is among the recipients, whatever the validators say.
"""

from services.keymanager.rules.proven_chain import KeyManagerChain
from shared.errors import Rejected, Unavailable
from shared.tee.attestation import find_root_ca, verify_attestation
from shared.types.attestation import EnclaveIdentity, QuotePolicy, TeeConstraints
from shared.types.registry import NodeDescriptor


class NotInCommittee(Unavailable, module="keys", code=51):
    """Our own REK is not registered yet, so we could not read what we publish."""


class NoDeployment(Unavailable, module="keys", code=52):
    """No deployment of the key manager is active, so no platform policy is known."""


def quote_policy(chain: KeyManagerChain) -> QuotePolicy:
    """Which platforms the active deployment accepts, or `NoDeployment`."""
    deployment = chain.runtime.active_deployment(chain.epoch)
    if deployment is None:
        raise NoDeployment(f"the key manager has no deployment in epoch {chain.epoch}")
    return deployment.tee.policy


def attested_reks(
    chain: KeyManagerChain,
    *,
    own_reks: tuple[bytes, ...],
    heirs: tuple[EnclaveIdentity, ...],
    root_ca_hash: bytes,
    now_s: int,
    height: int,
) -> tuple[bytes, ...]:
    """
    REKs of the committee's members that may have the secret.

    Raises
    ------
    NotInCommittee
        Ours is not among them.
    """
    constraints = TeeConstraints(enclaves=heirs, policy=quote_policy(chain))
    reks = []
    for member in chain.members:
        rek = _attested_rek(member, chain, constraints, root_ca_hash, now_s, height)
        if rek is not None:
            reks.append(rek)
    if not set(own_reks) & set(reks):
        raise NotInCommittee("the committee does not have this enclave's REK")
    return tuple(reks)


def _attested_rek(
    member: NodeDescriptor,
    chain: KeyManagerChain,
    constraints: TeeConstraints,
    root_ca_hash: bytes,
    now_s: int,
    height: int,
) -> bytes | None:
    for runtime in member.runtimes:
        if runtime.id != chain.status.id or runtime.tee is None:
            continue
        try:
            collateral = runtime.tee.attestation.collateral
            verify_attestation(
                runtime.tee,
                node_id=member.id,
                constraints=constraints,
                root_ca=find_root_ca(collateral, root_ca_hash),
                now_s=now_s,
                # Freshness is consensus's own rule; here it matters only who the REK belongs to.
                min_height=0,
                max_height=height,
            )
        except Rejected:
            continue
        return runtime.tee.rek
    return None
