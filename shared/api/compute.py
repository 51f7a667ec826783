"""
A compute node, as the gateway and its fellow nodes see it.

The gateway speaks `ComputeApi`; nodes of one ParaTime speak `ComputePeerApi` among themselves.
Nothing here is plaintext of a confidential call: envelopes go in and out as they are.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from shared.encoding.contract import Transport, client_of, dev_control, peers_only
from shared.encoding.record import Bytes32
from shared.types.block import BlockHeader, ExecutedRound, RoundBlock, RoundChange
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import (
    FIRST_INCARNATION,
    Epoch,
    Hash,
    Incarnation,
    NodeId,
    Round,
    RuntimeId,
)
from shared.types.keymanager import SignedPublicKey
from shared.types.queries import Query, QueryAnswer

MAX_HEADERS = 256
"""Headers of one answer; each has some 250 bytes."""


@dataclass(frozen=True, slots=True)
class ComputeStatus:
    """Where a compute node stands."""

    name: str
    node_id: NodeId
    runtime_id: RuntimeId
    round: Round
    """Newest round whose state the node holds."""
    state_root: Hash
    epoch: Epoch
    is_ready: bool
    """Registered, with keys, and level with consensus."""
    is_worker: bool
    is_backup: bool
    mr_enclave: Hash
    is_mock_tee: bool
    incarnation: Incarnation = FIRST_INCARNATION
    """Life of the chain to which the node's rounds belong."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one transaction at the door of the pool."""

    tx_hash: Bytes32 | None
    """None where the bytes could not be read."""
    module: str = ""
    """Module of the refusal; empty when the transaction was taken."""
    code: int = 0
    message: str = ""
    missing_sequence: int | None = None
    """Nonce of the sender that must come first; None where the transaction may run at once."""


@dataclass(frozen=True, slots=True)
class CallDataKey:
    """The key to which clients encrypt calldata in one epoch."""

    public_key: SignedPublicKey
    epoch: Epoch


class HeadersApi(Protocol):
    """The chain of headers, for who has a later one from consensus and goes back from there."""

    async def fetch_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:
        """Headers of rounds from one on that the node holds; at most `MAX_HEADERS`."""
        ...


class ComputeApi(HeadersApi, Protocol):
    """Messages of a compute node to its clients."""

    async def fetch_status(self) -> ComputeStatus:
        """Where the node stands."""
        ...

    async def submit_transactions(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        """Check raw transactions and put the good ones into the pool."""
        ...

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """
        Ask the runtime about the state after a round; None is the newest.

        What may be asked is the runtime's own: `shared.api.evm` for the EVM. Raises
        `RuntimeRejected` with the runtime's module, code and data.
        """
        ...

    async def query_all(self, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
        """
        Ask up to `MAX_QUERIES` questions about the newest state.

        Gives answers in order, at least one, and no more once they have taken long or are large:
        then the rest is better asked side by side.
        """
        ...

    async def fetch_call_data_key(self) -> CallDataKey:
        """Key of the current epoch, signed by the key manager."""
        ...

    async def fetch_round(self, round: Round) -> RoundBlock | None:  # noqa: A002
        """One round; None where the node does not hold it."""
        ...

    async def fetch_next_sequence(self, sender: bytes) -> int | None:
        """
        First sequence (nonce) of a sender of which no transaction waits in the node's pool.

        None where the pool knows nothing of the sender: the state says it then.
        """
        ...

    async def fetch_pending(self) -> tuple[bytes, ...]:
        """Raw transactions that wait in the pool, in the order in which they would run."""
        ...

    async def keep_awake(self) -> bool:
        """
        Say that clients ask: for a while empty rounds come at their usual pace.

        Whether one is due by that. All nodes are to hear it, since any may schedule (ADR 0087).
        """
        ...

    @dev_control
    async def drop_transaction(self, raw: bytes) -> bool:
        """Remove a transaction from the pool; needs dev controls. Whether it waited there."""
        ...

    def watch_rounds(
        self, from_round: Round, incarnation: Incarnation | None = None
    ) -> AsyncIterator[RoundBlock]:
        """
        Every round from one on, then each new one as it is finalized.

        Ends with `NetworkRewound` where the node is, or comes to be, in another life of the chain
        than the one that the caller names, by default the one that is.
        """
        ...

    def watch_executed(self) -> AsyncIterator[ExecutedRound]:
        """
        Rounds with transactions as this node executes them, before consensus has decided.

        A reader who is slow gets the newest alone. Whoever shows rounds has their contents by the
        time that they are final; a round that is decided otherwise is never asked for.
        """
        ...


class ComputePeerApi(Protocol):
    """Messages among the nodes of one ParaTime."""

    @peers_only
    async def gossip_transactions(self, raws: tuple[bytes, ...]) -> None:
        """Hand on transactions that entered the sender's pool from a client."""
        ...

    @peers_only
    async def propose(self, proposal: Proposal) -> None:
        """Hand a scheduler's batch to a member of the committee."""
        ...

    @peers_only
    async def collect_vote(self, vote: ExecutorCommitment) -> None:
        """Hand a vote to the scheduler of its proposal, who sends it along with the others."""
        ...

    @peers_only
    async def fetch_diffs(self, from_round: Round, limit: int) -> tuple[RoundChange, ...]:
        """Rounds with their state changes, for catching up; at most `limit` of them."""
        ...


class FellowNodeApi(ComputePeerApi, HeadersApi, Protocol):
    """What a node asks of a fellow node, which serves `ComputeApi` as well."""


def compute_client(transport: Transport) -> ComputeApi:
    """Make a client."""
    return client_of(ComputeApi, transport)


def compute_peer(transport: Transport) -> FellowNodeApi:
    """Make a client for a fellow node."""
    return client_of(FellowNodeApi, transport)
