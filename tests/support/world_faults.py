"""Faults of a test world: decorators of contracts that are there anyway."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.encoding.record import decode_record
from shared.kit.service import Service
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
        self.sent: list[tuple[ExecutorCommitment, ...]] = []
        """Votes of each transaction that was sent, oldest first."""
        self.is_holding = False
        self.held: dict[bytes, bytes] = {}
        """Newest transaction of each sender that was kept back: raw, by node."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    @property
    def cast(self) -> list[ExecutorCommitment]:
        """Every vote that was sent, oldest first."""
        return [vote for votes in self.sent for vote in votes]

    async def submit_transaction(self, raw: bytes) -> bytes:
        signed = decode_record(SignedTransaction, raw)
        transaction = decode_record(Transaction, signed.untrusted_raw_value)
        if transaction.method != Method.EXECUTOR_COMMIT:
            return await self._honest.submit_transaction(raw)
        self.sent.append(decode_record(ExecutorCommit, transaction.body).commitments)
        if not self.is_holding:
            return await self._honest.submit_transaction(raw)
        self.held[signed.signature.public_key] = raw
        return bytes(32)

    async def release(self, *, most: int = 100) -> None:
        """Let votes that were kept back go their way, those that go alone first."""
        for node_id in sorted(self.held, key=lambda node: len(self.held[node]))[:most]:
            await self._honest.submit_transaction(self.held.pop(node_id))


class DeafPeer:
    """Before `ComputePeerApi`: no vote that is handed to it is heard."""

    def __init__(self, honest: Any) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def collect_vote(self, vote: ExecutorCommitment) -> None:
        pass


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


def decorate(service: Service, method: str, decorator: Callable[[Any], Any]) -> None:
    """Put a decorator before the object that answers a method, for all methods of its contract."""
    if method not in service._by_method:
        (service,) = service._parts.values()
    contract, honest = service._by_method[method]
    decorated = contract, decorator(honest)
    service._by_method.update(
        (name, decorated) for name, served in service._by_method.items() if served[0] is contract
    )
