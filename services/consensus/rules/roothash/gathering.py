"""
Whose votes a block would do well to wait for, so that a round costs one block and not one a vote.

Advice to whoever makes blocks, never a rule of the chain: any block is valid, and nothing here
changes state. Only votes are waited for; any other transaction wants its block at once.
"""

from collections.abc import Iterable
from functools import lru_cache

from services.consensus.rules.roothash.round_state import RoundState
from services.consensus.rules.state import State
from services.consensus.rules.transactions import OpenedTransaction
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.identity import NodeId, RuntimeId
from shared.types.methods import ExecutorCommit, Method
from shared.types.registry import Committee

NOBODY: frozenset[NodeId] = frozenset()


def missing_voters(state: State, waiting: Iterable[OpenedTransaction]) -> frozenset[NodeId]:
    """
    Nodes that have yet to vote on the rounds on which the waiting transactions vote.

    Parameters
    ----------
    state : `State`
        After the newest block.
    waiting : iterable of `OpenedTransaction`
        Everything in the pool.

    Returns
    -------
    missing : set of node ids
        Workers of those rounds, or backup workers after a discrepancy, without a vote in the state
        or in the pool. Empty where something else than votes waits, or a vote cannot be read.
    """
    votes: dict[RuntimeId, set[NodeId]] = {}
    for opened in waiting:
        if opened.method is not Method.EXECUTOR_COMMIT:
            return NOBODY
        try:
            runtime_id, voters = _read_votes(opened.transaction.body)
        except Rejected:
            return NOBODY
        votes.setdefault(runtime_id, set()).update(voters)
    missing: set[NodeId] = set()
    for runtime_id, voted in votes.items():
        missing |= _expected(state, runtime_id) - voted
    return frozenset(missing)


@lru_cache(maxsize=16)
def _read_votes(body: bytes) -> tuple[RuntimeId, frozenset[NodeId]]:
    # Asked for each time that a vote arrives, about all that wait already.
    commit = decode_record(ExecutorCommit, body)
    return commit.runtime_id, frozenset(vote.node_id for vote in commit.commitments)


def _expected(state: State, runtime_id: RuntimeId) -> set[NodeId]:
    """Members of the committee that may vote now and have not."""
    committee = state.load(Committee, state_keys.committee_key(runtime_id))
    pool = state.load(RoundState, state_keys.round_state_key(runtime_id))
    if committee is None or pool is None:
        return set()
    members = committee.backups() if pool.is_discrepancy else committee.workers()
    voted = {node for proposal in pool.proposals.values() for node in proposal.votes}
    return {NodeId(node) for node in members if node not in voted}
