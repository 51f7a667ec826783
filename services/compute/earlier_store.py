"""Databases of before ADR 0081, which held in tables what the node said in open rounds."""

from sqlalchemy import Connection, inspect, text

from services.compute.open_rounds import OpenRounds, Vote
from services.compute.outputs import decode_outputs
from shared.encoding.record import decode_record
from shared.types.commitment import ExecutorCommitment, Proposal

_VOTES = text("SELECT rank, outputs, proposal, commitment FROM votes ORDER BY round, rank")
_PROPOSALS = text("SELECT proposal FROM proposals ORDER BY round")
_FORGET_VOTES, _FORGET_PROPOSALS = text("DELETE FROM votes"), text("DELETE FROM proposals")


def adopt_votes(connection: Connection, open_rounds: OpenRounds) -> None:
    """Move votes and proposals to where they lie now; a process may die at any moment of it."""
    with connection.begin():
        if inspect(connection).has_table("votes"):
            _adopt(connection, open_rounds)


def _adopt(connection: Connection, open_rounds: OpenRounds) -> None:
    for row in connection.execute(_PROPOSALS).all():
        proposal = decode_record(Proposal, row.proposal)
        if open_rounds.load_proposal(proposal.header.round) is None:
            open_rounds.save_proposal(proposal)
    for row in connection.execute(_VOTES).all():
        commitment = decode_record(ExecutorCommitment, row.commitment)
        if row.rank not in {vote.rank for vote in open_rounds.load_votes(commitment.round)}:
            proposal = decode_record(Proposal, row.proposal)
            outputs = decode_outputs(row.outputs)
            open_rounds.save_vote(Vote(row.rank, proposal, commitment, *outputs))
    connection.execute(_FORGET_VOTES)
    connection.execute(_FORGET_PROPOSALS)
