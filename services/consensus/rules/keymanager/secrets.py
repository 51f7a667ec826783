"""
Publication of master and ephemeral secrets, encrypted to the key manager's committee.

Source: oasis-core go/keymanager/secrets/secret.go and
go/consensus/cometbft/apps/keymanager/secrets/txs.go @ f9f1fdc. Differs: the current epoch's
ephemeral secret may be published as long as there is none, so that a young network need not wait.
"""

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.keymanager.status import (
    REPLICATED_PERCENT,
    holds_proposal,
    is_replicated,
    load_key_manager,
    members_of,
    next_generation,
)
from services.consensus.rules.signatures import verify_known_signature
from services.consensus.rules.state import State
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.keymanager import (
    ENCRYPTED_SECRET,
    KeyManagerStatus,
    Policy,
    SignedPublishedSecret,
)


class NotCommitteeMember(Rejected, module="keymanager", code=20):
    """Only a node of the key manager's committee publishes secrets."""


class WrongReceivers(Rejected, module="keymanager", code=21):
    """The secret is for somebody outside the committee, or for too few of it."""


class WrongGeneration(Rejected, module="keymanager", code=22):
    """The master secret is not of the next generation."""

    def __init__(self, got: int | None, expected: int) -> None:
        super().__init__(f"generation {got}, expected {expected}")
        self.got, self.expected = got, expected


class WrongEpoch(Rejected, module="keymanager", code=23):
    """The secret is for another epoch than one that may be published now."""


class AlreadyPublished(Rejected, module="keymanager", code=24):
    """There is a secret for this epoch; it is not replaced."""


class RotationNotDue(Rejected, module="keymanager", code=25):
    """The policy does not let the master secret rotate yet, or at all."""


class WrongKind(Rejected, module="keymanager", code=26):
    """A generation marks a master secret, its absence an ephemeral one."""


def apply_publish_master_secret(
    state: State, context: BlockContext, caller: Caller, signed: SignedPublishedSecret
) -> None:
    """
    Take the proposal of a master secret for the next epoch; it counts when enough hold it.

    Raises
    ------
    NotCommitteeMember, WrongReceivers, WrongGeneration, WrongEpoch, AlreadyPublished,
    RotationNotDue, WrongKind, BadSignature
        See each class.
    """
    published = signed.secret
    status = load_key_manager(state, published.runtime_id)
    if published.generation is None:
        raise WrongKind("a master secret has a generation")
    generation = next_generation(status)
    if published.generation != generation:
        raise WrongGeneration(published.generation, generation)
    epoch = load_epoch(state).epoch
    if published.epoch != epoch + 1:
        raise WrongEpoch(f"epoch {published.epoch}, expected {epoch + 1}")
    _verify_rotation(status, published.epoch)
    key = state_keys.master_secret_key(published.runtime_id)
    newest = state.load(SignedPublishedSecret, key)
    if (
        newest is not None
        and (newest.secret.generation, newest.secret.epoch) == (generation, published.epoch)
        and _reaches_committee(state, status, newest)
    ):
        raise AlreadyPublished(f"generation {generation} for epoch {published.epoch}")
    _verify_publication(state, context, caller, status, signed)
    state.save(key, signed)
    state.emit(signed)


def apply_publish_ephemeral_secret(
    state: State, context: BlockContext, caller: Caller, signed: SignedPublishedSecret
) -> None:
    """
    Take the one ephemeral secret of the next epoch, or of this one while it has none.

    Raises
    ------
    NotCommitteeMember, WrongReceivers, WrongEpoch, AlreadyPublished, WrongKind, BadSignature
        See each class.
    """
    published = signed.secret
    status = load_key_manager(state, published.runtime_id)
    if published.generation is not None:
        raise WrongKind("an ephemeral secret has no generation")
    epoch = load_epoch(state).epoch
    if published.epoch not in (epoch, epoch + 1):
        raise WrongEpoch(f"epoch {published.epoch}, expected {epoch} or {epoch + 1}")
    key = state_keys.ephemeral_secret_key(published.runtime_id)
    newest = state.load(SignedPublishedSecret, key)
    if newest is not None and newest.secret.epoch >= published.epoch:
        raise AlreadyPublished(f"the newest is for epoch {newest.secret.epoch}")
    _verify_publication(state, context, caller, status, signed)
    state.save(key, signed)
    state.emit(signed)


def _reaches_committee(
    state: State, status: KeyManagerStatus, signed: SignedPublishedSecret
) -> bool:
    """
    Say whether enough of today's members can open a proposal.

    Members that restarted after it was made cannot, and it would never be accepted; so it must not
    stand in the way of another one. Those that hold it say so when they register, with a new REK.
    """
    secret = signed.secret.secret
    members = [served for _, served in members_of(state, status) if served.tee is not None]
    reached = [
        served
        for served in members
        if (served.tee is not None and served.tee.rek in secret.ciphertexts)
        or holds_proposal(served, secret.checksum)
    ]
    return is_replicated(len(reached), len(members))


def _verify_rotation(status: KeyManagerStatus, epoch: int) -> None:
    if not status.is_initialized or status.policy is None:
        return
    policy = decode_record(Policy, status.policy.untrusted_raw_value)
    interval = policy.master_secret_rotation_interval
    due = (status.rotation_epoch or 0) + interval
    if interval == 0 or epoch < due:
        raise RotationNotDue(f"for epoch {epoch}: " + (f"due at {due}" if interval else "never"))


def _verify_publication(
    state: State,
    context: BlockContext,
    caller: Caller,
    status: KeyManagerStatus,
    signed: SignedPublishedSecret,
) -> None:
    members = list(members_of(state, status))
    own = next((served for node, served in members if node.id == caller.public_key), None)
    if own is None or own.tee is None:
        raise NotCommitteeMember(f"node {caller.public_key.hex()} is not in the committee")
    verify_known_signature(
        own.tee.rak,
        ENCRYPTED_SECRET.for_chain(context.chain_context),
        encode_record(signed.secret),
        signed.signature,
    )
    keys = {served.tee.rek for _, served in members if served.tee is not None}
    receivers = signed.secret.secret.ciphertexts.keys()
    if not receivers <= keys or not is_replicated(len(receivers), len(keys)):
        raise WrongReceivers(
            f"{len(receivers & keys)} of {len(keys)} members, {len(receivers - keys)} others; "
            f"at least {REPLICATED_PERCENT} % of the committee, and nobody else"
        )
