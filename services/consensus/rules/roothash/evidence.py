"""
Equivocation: proof that a node signed two things that exclude each other.

Only within one life of the chain: what a node signed before a rewind does not verify after it, and
is no offence, since it may well decide otherwise then (ADR 0014).

Source: oasis-core go/roothash/api/evidence.go and
go/consensus/cometbft/apps/roothash/transactions.go @ f9f1fdc. Differs: the node is frozen as well,
for as long as stake debonds.
"""

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.entities import freeze_node, load_node
from services.consensus.rules.roothash.commitments import (
    verify_node_signature,
    verify_position,
)
from services.consensus.rules.roothash.penalties import punish_equivocation
from services.consensus.rules.roothash.round_state import RuntimeState
from services.consensus.rules.roothash.rounds import load_last_block
from services.consensus.rules.signatures import verify_known_signature
from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.crypto.hashes import sha512_256
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.block import BlockHeader
from shared.types.commitment import PROPOSAL, ExecutorCommitment
from shared.types.methods import CommitmentEquivocation, Evidence, ProposalEquivocation
from shared.types.registry import NodeDescriptor


class NotEquivocation(Rejected, module="roothash", code=20):
    """The two statements do not exclude each other, or are not by one node."""


class EvidenceTooOld(Rejected, module="roothash", code=21):
    """The round is too far back to punish."""

    def __init__(self, round_: int, oldest: int) -> None:
        super().__init__(f"round {round_}, the oldest that counts is {oldest}")
        self.round, self.oldest = round_, oldest


class EvidenceFromFuture(Rejected, module="roothash", code=22):
    """The round has not begun."""


class AlreadyPunished(Rejected, module="roothash", code=23):
    """The node was punished for this round already."""


def apply_evidence(state: State, context: BlockContext, caller: Caller, body: Evidence) -> None:
    """
    Punish a node for equivocation, once for each round and kind.

    Raises
    ------
    NoOpenRound, UnknownNode, NotEquivocation, EvidenceTooOld, EvidenceFromFuture, AlreadyPunished,
    BadSignature
        See each class.
    """
    match body:
        case Evidence(commitments=CommitmentEquivocation() as pair, proposals=None):
            node_id, round_ = _verify_commitments(context, body.runtime_id, pair)
            kind = b"commitment"
        case Evidence(commitments=None, proposals=ProposalEquivocation() as statements):
            node_id, round_ = _verify_proposals(context, body.runtime_id, statements)
            kind = b"proposal"
        case _:
            raise NotEquivocation("evidence is one pair of commitments, or one of proposals")
    _verify_age(state, body.runtime_id, round_)
    _punish(state, caller, body.runtime_id, node_id, round_, kind)


def apply_double_vote(
    state: State,
    context: BlockContext,
    caller: Caller,
    runtime_id: bytes,
    second: ExecutorCommitment,
    last: BlockHeader,
) -> None:
    """
    Punish a node whose vote contradicts the one that it cast in the open round.

    Consensus itself verified the first one: no other process sees both, so nobody else would file
    evidence.

    Raises
    ------
    AlreadyPunished, UnknownNode, BadSignature
        See each class.
    Rejected
        Of the classes of `verify_position`.
    """
    verify_position(second, last)
    verify_node_signature(context, second, runtime_id)
    _punish(state, caller, runtime_id, second.node_id, second.round, b"commitment")


def _punish(
    state: State, caller: Caller, runtime_id: bytes, node_id: bytes, round_: int, kind: bytes
) -> None:
    key = state_keys.evidence_key(runtime_id, round_, sha512_256(kind + node_id))
    if state.load(bytes, key) is not None:
        raise AlreadyPunished(f"node {node_id.hex()} in round {round_}")
    node = load_node(state, node_id)
    state.save(key, b"")
    runtime = state.load_required(RuntimeState, state_keys.runtime_state_key(runtime_id))
    punish_equivocation(state, runtime.descriptor, node, _entity_of(state, caller))
    pause = load_parameters(state).staking.debonding_interval
    freeze_node(state, node_id, load_epoch(state).epoch + pause)


def _verify_commitments(
    context: BlockContext, runtime_id: bytes, pair: CommitmentEquivocation
) -> tuple[bytes, int]:
    first, second = pair.first, pair.second
    if first.node_id != second.node_id or first.round != second.round:
        raise NotEquivocation("the commitments are of two nodes or rounds")
    if first.header.scheduler_id != second.header.scheduler_id:
        raise NotEquivocation("a node may vote on the proposals of several schedulers")
    one, other = first.header.results, second.header.results
    if one is None or other is None:
        # A failure does not name its round, so it proves nothing about this one.
        raise NotEquivocation("only two results exclude each other")
    if one == other:
        raise NotEquivocation("the commitments have the same results")
    if not one.round == other.round == first.round:
        raise NotEquivocation("the results are of another round")
    for commitment in (first, second):
        verify_node_signature(context, commitment, runtime_id)
    return first.node_id, first.round


def _verify_proposals(
    context: BlockContext, runtime_id: bytes, pair: ProposalEquivocation
) -> tuple[bytes, int]:
    first, second = pair.first, pair.second
    if first.node_id != second.node_id or first.header.round != second.header.round:
        raise NotEquivocation("the proposals are of two nodes or rounds")
    if first.header == second.header:
        raise NotEquivocation("the proposals are the same")
    signed_for = PROPOSAL.for_runtime(context.chain_context, runtime_id, context.incarnation)
    for statement in (first, second):
        verify_known_signature(
            statement.node_id, signed_for, encode_record(statement.header), statement.signature
        )
    return first.node_id, first.header.round


def _verify_age(state: State, runtime_id: bytes, round_: int) -> None:
    last = load_last_block(state, runtime_id).round
    oldest = last - load_parameters(state).roothash.max_evidence_age_rounds
    if round_ < max(oldest, 0):
        raise EvidenceTooOld(round_, max(oldest, 0))
    if round_ > last + 1:
        raise EvidenceFromFuture(f"round {round_}, the open one is {last + 1}")


def _entity_of(state: State, caller: Caller) -> bytes | None:
    node = state.load(NodeDescriptor, state_keys.node_key(caller.public_key))
    return None if node is None else staking_address(node.entity_id)


def forget_old_evidence(state: State, runtime_id: bytes) -> None:
    """Drop the marks of rounds that evidence can no longer be brought for."""
    oldest = (
        load_last_block(state, runtime_id).round
        - load_parameters(state).roothash.max_evidence_age_rounds
    )
    prefix = state_keys.evidence_prefix(runtime_id)
    for key, _ in list(state.scan(bytes, prefix)):
        if int.from_bytes(key[len(prefix) : len(prefix) + 8], "big") < oldest:
            state.remove(key)
