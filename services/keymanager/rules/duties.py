"""
What a key manager node has to do now.

Pure: from the chain, the enclave's state and what this node has registered follow the duties. The
host carries them out and asks again after the next change, so a duty that failed is simply due once
more.
"""

from dataclasses import dataclass, replace

from services.keymanager.rules.proven_chain import (
    KeyManagerChain,
    is_denied_by_all,
    is_open_proposal,
    reaches_committee,
    rotation_interval,
)
from shared.rules.key_ids import OLDER_EPOCHS
from shared.types.identity import Epoch, NodeId
from shared.types.keymanager import InitResponse

RANK_PAUSE_MS = 150
"""Each member waits this much longer than the one before it, so that one publishes, not all."""
LOSS_PATIENCE_MS = 500
"""How long every member must be without this epoch's secret before it is given up, times rank."""
DENIED_PATIENCE_MS = 150
"""The same where all members have said that they are; one may just have got it from another."""
OPEN_LOSS_PATIENCE_MS = 3_000
"""The same for an open epoch before this one: who holds its secret may still be starting."""
NEXT_EPOCH_PAUSE_MS = 1_000
"""
Time in an epoch before the next one's secret is published.

Consensus keeps only the newest published secret; members that are a little behind can still read
this epoch's.
"""


@dataclass(frozen=True, slots=True)
class Registration:
    """What this node last registered."""

    epoch: Epoch
    init_response: InitResponse

    def covers(self, wanted: "Registration") -> bool:
        """
        Say whether nothing needs to be registered again.

        Which ephemeral secrets a node holds is read when an epoch begins; of all that comes and
        goes in between only this epoch's secret must be told, once.
        """
        known, said = self.init_response, wanted.init_response
        if self.epoch != wanted.epoch or replace(known, ephemeral_epochs=()) != replace(
            said, ephemeral_epochs=()
        ):
            return False
        return wanted.epoch in known.ephemeral_epochs or wanted.epoch not in said.ephemeral_epochs


@dataclass(frozen=True, slots=True)
class PublishMaster:
    """Propose a master secret for the next generation, after a pause."""

    pause_ms: int


@dataclass(frozen=True, slots=True)
class PublishEphemeral:
    """Publish the secret of an epoch, after a pause."""

    epoch: Epoch
    pause_ms: int


Publication = PublishMaster | PublishEphemeral


def due_publications(chain: KeyManagerChain, node_id: NodeId) -> tuple[Publication, ...]:
    """Secrets that this member must publish, each after a pause by its rank."""
    rank = publisher_rank(chain, node_id)
    if rank is None:
        return ()
    duties: list[Publication] = []
    if _is_master_due(chain):
        duties.append(PublishMaster(rank * RANK_PAUSE_MS))
    published = chain.ephemeral.secret.epoch if chain.ephemeral is not None else None
    if published is None or published < chain.epoch:
        duties.append(PublishEphemeral(chain.epoch, rank * RANK_PAUSE_MS))
    elif published == chain.epoch:
        pause_ms = NEXT_EPOCH_PAUSE_MS + rank * RANK_PAUSE_MS
        duties.append(PublishEphemeral(Epoch(chain.epoch + 1), pause_ms))
    return tuple(duties)


def publisher_rank(chain: KeyManagerChain, node_id: NodeId) -> int | None:
    """Rank of a member as publisher in this epoch, 0 first; None for who is no member."""
    members = sorted(chain.status.nodes)
    if node_id not in members:
        return None
    return (members.index(node_id) + chain.epoch) % len(members)


def _is_master_due(chain: KeyManagerChain) -> bool:
    status, proposal = chain.status, chain.master
    if status.policy is None:
        return False
    if proposal is not None and is_open_proposal(chain) and reaches_committee(proposal, chain):
        return False
    if not status.is_initialized:
        return True
    # A secret that is proposed now counts from the next epoch on.
    interval = rotation_interval(status)
    return interval > 0 and chain.epoch + 1 >= (status.rotation_epoch or 0) + interval


@dataclass(frozen=True, slots=True)
class Loss:
    """Secrets that nobody seems to have: how far to move on, and how long to wait before."""

    skipped: int
    patience_ms: int


def find_loss(chain: KeyManagerChain, held: tuple[Epoch, ...]) -> Loss | None:
    """Find what this member lacks and can get from nobody; None where there is no such thing."""
    skipped = epochs_to_skip(chain, held)
    if skipped:
        is_denied = is_denied_by_all(chain, chain.epoch)
        return Loss(skipped, DENIED_PATIENCE_MS if is_denied else LOSS_PATIENCE_MS)
    return Loss(1, OPEN_LOSS_PATIENCE_MS) if lost_open_epochs(chain, held) else None


def epochs_to_skip(chain: KeyManagerChain, held: tuple[Epoch, ...]) -> int:
    """
    Epochs to move on until a secret can be made again; 0 where none is lost.

    A published secret is never replaced, because some compute nodes may have keys of the first one
    and would disagree with those that ask later. So a lost one is left behind with its epoch, and
    with the next if that one's is published too.
    """
    published = chain.ephemeral
    if published is None or published.secret.epoch < chain.epoch or chain.epoch in held:
        return 0
    return published.secret.epoch + 1 - chain.epoch


def lost_open_epochs(chain: KeyManagerChain, held: tuple[Epoch, ...]) -> tuple[Epoch, ...]:
    """
    Earlier epochs whose keys every compute node asks for now, and whose secrets are not here.

    Where an epoch begins before a member that has restarted says so, it is judged by what it said
    before, and consensus may name one open whose secret nobody has. The next epoch judges anew.
    """
    oldest = chain.epoch - OLDER_EPOCHS
    return tuple(one for one in chain.status.open_epochs if one >= oldest and one not in held)


def replication_peers(chain: KeyManagerChain, node_id: NodeId) -> tuple[NodeId, ...]:
    """Members that may have what this node lacks."""
    return tuple(other for other in chain.status.nodes if other != node_id)
