"""What the host reads of consensus: where its ParaTime stands, who its peers are, new blocks."""

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from services.compute.peers import KeyManagers, Peers
from shared.api.consensus import (
    NEWEST,
    BlockEvents,
    ChainRewound,
    ConsensusApi,
    UnknownHeight,
)
from shared.encoding.record import decode_record
from shared.errors import QanatError, Unavailable
from shared.kit.link import until_available
from shared.rules import state_keys
from shared.rules.incarnations import read_incarnation
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader, HeaderType
from shared.types.identity import Epoch, Hash, Height, Incarnation, Round, RuntimeId
from shared.types.incarnation import IncarnationState
from shared.types.messages import Inbox, hash_inbox
from shared.types.mining import Mining
from shared.types.proof import ProvenState
from shared.types.registry import Committee

log = structlog.get_logger()

RECONNECT_PAUSE_S = 0.05
MAX_HEADERS = 16
"""Rounds that a node looks for on its own disk after a restart; more come from peers."""


class ParaTimeUnknown(Unavailable, module="compute", code=25):
    """Consensus has no block of this ParaTime yet."""


class InboxGone(Unavailable, module="compute", code=26):
    """Consensus holds another inbox of this ParaTime than a round begins with."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """Where the ParaTime stands at one height."""

    height: Height
    epoch: Epoch
    head: BlockHeader
    committee: Committee | None
    life: IncarnationState
    """Life of the chain."""
    mining: Mining
    """When rounds are to be made."""
    proven: ProvenState
    """Of all that an enclave needs to begin, or to enter an epoch."""


class ChainReader:
    """Reads consensus for one ParaTime."""

    def __init__(
        self,
        consensus: ConsensusApi,
        runtime_id: RuntimeId,
        key_manager: RuntimeId | None,
        peers: Peers,
        key_managers: KeyManagers,
        follower: str,
        family: str,
    ) -> None:
        """
        Prepare.

        `follower` is the name under which the node reports its arrivals, `family` that of its
        enclave's platform.
        """
        self.consensus, self._follower, self._family = consensus, follower, family
        self.runtime_id, self.key_manager = runtime_id, key_manager
        self.peers, self._key_managers = peers, key_managers

    async def look(self, height: Height = NEWEST) -> ChainView:
        """See where the ParaTime stands, waiting while consensus cannot be reached."""
        return await until_available(lambda: self._look(height))

    async def look_at(self, height: Height) -> ChainView | None:
        """See where the ParaTime stood at a height; None where the chain has that no longer."""
        try:
            return await self.look(height)
        except UnknownHeight:
            return None

    async def fetch_epoch(self, header: BlockHeader) -> Epoch | None:
        """Epoch in which consensus finalized a round; None where it has not."""
        fetch = functools.partial(self.consensus.fetch_round_epoch, self.runtime_id, header.round)
        return await until_available(fetch)

    async def _look(self, height: Height) -> ChainView:
        if height == NEWEST:
            # All reads below must speak of one block.
            height = (await self.consensus.fetch_status()).height
        keys = [
            state_keys.CHAIN_CONTEXT,
            state_keys.EPOCH,
            state_keys.INCARNATION,
            state_keys.runtime_key(self.runtime_id),
            state_keys.last_block_key(self.runtime_id),
            # Proves to the enclave that this state is newer than its start.
            state_keys.node_key(self.peers.own_id),
        ]
        if self.key_manager is not None:
            keys.append(state_keys.runtime_key(self.key_manager))
            keys.append(state_keys.key_manager_status_key(self.key_manager))
            keys.append(state_keys.collateral_floor_key(self._family))
        proven = await self.consensus.fetch_proven_state(tuple(keys), height)
        values = dict(proven.items)
        raw_head = values[state_keys.last_block_key(self.runtime_id)]
        raw_epoch = values[state_keys.EPOCH]
        if raw_head is None or raw_epoch is None:
            raise ParaTimeUnknown(f"height {height} has no block of {self.runtime_id.hex()}")
        await self.learn_peers()
        return ChainView(
            height=height,
            epoch=decode_record(EpochState, raw_epoch).epoch,
            head=decode_record(BlockHeader, raw_head),
            committee=await self.consensus.fetch_committee(self.runtime_id, height),
            life=read_incarnation(values),
            mining=await self.consensus.fetch_mining(self.runtime_id, height),
            proven=proven,
        )

    async def fetch_inbox(self, expected: Hash) -> Inbox:
        """
        What consensus hands to the open round.

        Raises
        ------
        InboxGone
            Consensus is at another round.
        """
        key = state_keys.inbox_key(self.runtime_id)
        (raw,) = await self.consensus.fetch_state((key,))
        inbox = Inbox() if raw is None else decode_record(Inbox, raw)
        if hash_inbox(inbox) != expected:
            raise InboxGone("consensus hands something else to its open round")
        return inbox

    async def fetch_headers(self, first: Round, head: BlockHeader) -> tuple[BlockHeader, ...]:
        """Headers from a round up to one that is known, that one included; the oldest of many."""
        headers: list[BlockHeader] = []
        for round_ in map(Round, range(first, min(head.round, first + MAX_HEADERS))):
            fetch = functools.partial(self.consensus.fetch_round_header, self.runtime_id, round_)
            header = await until_available(fetch)
            if header is None:
                return tuple(headers)
            headers.append(header)
        if first <= head.round < first + MAX_HEADERS:
            headers.append(head)
        return tuple(headers)

    async def _report_arrival(self, incarnation: Incarnation) -> None:
        """Tell consensus, for who waits for a rewind, in which life of the chain the node is."""
        try:
            await self.consensus.report_incarnation(self._follower, incarnation)
        except QanatError as error:
            log.warning("arrival_not_reported", incarnation=incarnation, reason=error.message)

    def headers_in(self, events: BlockEvents) -> tuple[BlockHeader, ...]:
        """Headers of this ParaTime that a block made final, oldest first."""
        return tuple(
            finalized.header
            for finalized in events.finalized
            if finalized.runtime_id == self.runtime_id
        )

    def changes_more(self, events: BlockEvents) -> bool:
        """
        Say whether a block changes what one has to look at again: epoch, committee, registration.

        A committee may also begin within an epoch, when enough nodes have registered.
        """
        is_new_committee = any(
            header.header_type in (HeaderType.EPOCH_TRANSITION, HeaderType.SUSPENDED)
            for header in self.headers_in(events)
        )
        is_registered = self.peers.own_id in events.registered
        return events.is_epoch_change or is_new_committee or is_registered

    def is_only_rounds(self, events: BlockEvents) -> bool:
        """Say whether a block makes rounds of this ParaTime final, and tells it nothing else."""
        return bool(self.headers_in(events)) and not (
            self.changes_more(events)
            or events.registered
            or events.secrets
            or events.discrepancies
            or events.mining
        )

    async def learn_peers(self) -> None:
        """Read from the registry where fellow nodes and key managers are."""
        try:
            nodes = await self.consensus.fetch_nodes()
        except Unavailable as error:
            log.warning("registry_not_read", reason=error.message)
            return
        self.peers.learn(nodes)
        self._key_managers.learn(nodes, self.key_manager)

    async def watch(self, from_height: int, incarnation: Incarnation) -> AsyncIterator[BlockEvents]:
        """Give every block of a life of the chain from a height on; ends where that life ends."""
        height = from_height
        while True:
            # Again at each connection: consensus remembers no reports over its own restart.
            await self._report_arrival(incarnation)
            try:
                async for events in self.consensus.watch_news(
                    self.runtime_id, Height(height), incarnation
                ):
                    yield events
                    height = events.height + 1
            except (ChainRewound, UnknownHeight) as error:
                log.warning("chain_elsewhere", height=height, reason=error.message)
                return
            except QanatError as error:
                log.warning("consensus_lost", height=height, reason=error.message)
            await asyncio.sleep(RECONNECT_PAUSE_S)
