"""Faults of a test world: decorators of contracts that are there anyway."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.encoding.record import decode_record
from shared.types.block import HeaderType
from shared.types.commitment import ExecutorCommitment
from shared.types.methods import ExecutorCommit, Method
from shared.types.transaction import SignedTransaction, Transaction


class Ballots:
    """
    Before `ConsensusApi`: remembers every vote on its way to consensus, and may keep votes back.

    To their senders, votes that are kept back look like those of a pool from which no block comes.
    """

    def __init__(self, honest: Any) -> None:
        self._honest = honest
        self.cast: list[ExecutorCommitment] = []
        """Every vote that was sent, oldest first."""
        self.is_holding = False
        self.held: dict[bytes, bytes] = {}
        """Newest vote of each node that was kept back: raw transactions by node."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def submit_transaction(self, raw: bytes) -> bytes:
        vote = _vote_in(raw)
        if vote is None:
            return await self._honest.submit_transaction(raw)
        self.cast.append(vote)
        if not self.is_holding:
            return await self._honest.submit_transaction(raw)
        self.held[vote.node_id] = raw
        return bytes(32)

    async def release(self, *, most: int = 100) -> None:
        """Let votes that were kept back go their way; later ones are still held."""
        for node_id in list(self.held)[:most]:
            await self._honest.submit_transaction(self.held.pop(node_id))


def _vote_in(raw: bytes) -> ExecutorCommitment | None:
    signed = decode_record(SignedTransaction, raw)
    transaction = decode_record(Transaction, signed.untrusted_raw_value)
    if transaction.method != Method.EXECUTOR_COMMIT:
        return None
    (vote,) = decode_record(ExecutorCommit, transaction.body).commitments
    return vote


class CorruptPeer:
    """Before `ComputePeerApi`: the rounds that it gives are wrong in one field."""

    def __init__(self, honest: Any, field: str) -> None:
        self._honest, self._field = honest, field

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def fetch_diffs(self, from_round: int, limit: int) -> tuple[Any, ...]:
        answer = []
        for item in await self._honest.fetch_diffs(from_round, limit):
            block, diff = item.block, item.diff
            if block.header.header_type is HeaderType.NORMAL:
                match self._field:
                    case "diff":
                        diff = diff[:-1] + bytes([diff[-1] ^ 1])
                    case "results":
                        block = replace(block, results=(*block.results, b"\xa0"))
                    case "transactions":
                        block = replace(block, transactions=(*block.transactions[1:], b"x"))
                    case "state_root":
                        header = replace(block.header, state_root=b"\xee" * 32)
                        block = replace(block, header=header)
            answer.append(replace(item, block=block, diff=diff))
        return tuple(answer)


def decorate(service: Any, method: str, decorator: Callable[[Any], Any]) -> None:
    """Put a decorator before the object of a service that has a method."""
    honest = service.find(method)[1]
    service._served = tuple(
        (contract, decorator(thing) if thing is honest else thing)
        for contract, thing in service._served
    )
