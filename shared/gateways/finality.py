"""
What consensus has finalized, proven: the gateway's light client.

Neither compute nodes nor the consensus service are believed. The gateway begins with the validators
of its genesis document, follows signed headers (`shared.rules.light_client`), and reads the newest
ParaTime block from proven state. Earlier blocks follow by the hashes that each header names. A
round is shown only when its header is one of these.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from shared.api.consensus import NEWEST, BlockEvents, ChainRewound
from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord, decode_record
from shared.errors import QanatError, Unavailable
from shared.gateways import metrics
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.index import RoundIndex
from shared.gateways.past import HeaderApi, Past, UnprovenHeader, is_indexed
from shared.kit.callers import NotAdmitted
from shared.kit.identity import nodes_of_entities
from shared.kit.settings import BadSettings
from shared.rules import state_keys
from shared.rules.light_client import LightClient, VerifiedState
from shared.types.block import BlockHeader
from shared.types.evm import EvmGenesis
from shared.types.genesis import Genesis
from shared.types.identity import Height, Incarnation, RuntimeId
from shared.types.proof import ProvenState, Validator

log = structlog.get_logger()

RETRY_S = 0.05
MAX_RETRY_S = 1.0
"""Pause before consensus is asked again [s]."""
FINAL_TIMEOUT_S = 5.0
"""How long a round that a node shows may take to be proven [s]: the proof is made with the round,
and is mostly here before it."""


FinalListener = Callable[[tuple[BlockHeader, ...]], None]


class NotFinal(Unavailable, module="gateway", code=6):
    """A node shows a round of which consensus has shown no proof."""


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """Where trust begins: what the genesis document says of the chain."""

    chain_id: str
    chain_context: str
    validators: tuple[Validator, ...]
    has_dev_controls: bool = True
    """Whether the chain can be rewound; anywhere else an older chain is an attack."""
    nodes: frozenset[bytes] = frozenset()
    """Keys of which a compute node must prove one."""
    dev_control_key: bytes | None = None
    """Who edits the state, in a network with dev controls."""
    charges_for_size: bool = True
    """Whether the EVM that is shown charges for size and signature, as Sapphire does."""

    @property
    def validator_keys(self) -> frozenset[bytes]:
        """Keys of which the consensus service must prove one."""
        return frozenset(one.public_key for one in self.validators)


def load_trust_root(genesis: Path, evm: bytes | None = None) -> TrustRoot:
    """
    Read the genesis document, or raise `BadSettings`.

    `evm` is the runtime, 32 bytes, of which the rule of gas is read. Nothing else of its genesis
    state is kept: there may be 100,000 accounts in it.
    """
    try:
        document = decode_record(Genesis, genesis.read_bytes())
    except (OSError, MalformedCbor, MalformedRecord) as error:
        raise BadSettings(f"{genesis} is not a genesis document: {error}") from error
    validators = tuple(Validator(one.public_key, one.power) for one in document.validators)
    return TrustRoot(
        document.chain_id,
        document.chain_context(),
        validators,
        has_dev_controls=document.dev_control_key is not None,
        nodes=nodes_of_entities(document),
        dev_control_key=document.dev_control_key,
        charges_for_size=_charges_for_size(document, evm),
    )


def _charges_for_size(document: Genesis, evm: bytes | None) -> bool:
    genesis = next((one.genesis for one in document.runtimes if one.id == evm), None)
    return genesis is None or decode_record(EvmGenesis, genesis).charges_for_size


class FinalityApi(HeaderApi, Protocol):
    """The part of `ConsensusApi` that the gateway asks."""

    async def fetch_proven_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> ProvenState:
        """Values of state keys, with proof."""
        ...

    async def report_incarnation(self, follower: str, incarnation: Incarnation) -> None:
        """Tell in which life of the chain a follower is."""
        ...

    def watch_news(
        self,
        about: RuntimeId,
        from_height: Height,
        incarnation: Incarnation | None = None,
        is_urgent: bool = False,
    ) -> AsyncIterator[BlockEvents]:
        """Events of blocks that tell of a runtime."""
        ...


class Finality:
    """Follows consensus; keeps the hashes of finalized rounds that the index does not have yet."""

    def __init__(
        self,
        name: str,
        runtime_id: bytes,
        trust_root: TrustRoot,
        consensus: FinalityApi,
        nodes: ComputeNodes,
        index: RoundIndex,
        max_past: int | None = None,
    ) -> None:
        """
        Begin with a trust root.

        Parameters
        ----------
        name : `str`
            Of the gateway, for who waits until all have followed a rewind.
        max_past : `int`, optional
            How far before the newest round an index without rounds begins; None is as far as
            possible [rounds].
        """
        self._name, self._runtime_id, self._trust_root = name, RuntimeId(runtime_id), trust_root
        self._consensus, self._index, self._max_past = consensus, index, max_past
        self.past = Past(self._runtime_id, consensus, nodes)
        self._light_client = LightClient(
            trust_root.chain_id, trust_root.validators, follows_rewinds=trust_root.has_dev_controls
        )
        self._height = Height(0)
        self._first = 0
        """Round of the first hash that is kept."""
        self._hashes: list[bytes] = []
        self._moved = asyncio.Event()
        self._listeners: list[FinalListener] = []
        self.settling = asyncio.Lock()
        """Held while the index goes back; nothing is added to it meanwhile."""

    @property
    def height(self) -> Height:
        """Newest consensus block that was followed."""
        return self._height

    @property
    def head_round(self) -> int:
        """Newest round that is proven; -1 before the first."""
        return self._first + len(self._hashes) - 1

    # -- for who adds rounds to the index ------------------------------------------------------

    async def until_final(self, number: int) -> None:
        """Wait until a round is proven to be final, or raise `NotFinal`."""
        if number <= self.head_round:
            return
        try:
            async with asyncio.timeout(FINAL_TIMEOUT_S):
                while number > self.head_round:
                    await self._moved.wait()
        except TimeoutError:
            raise NotFinal(
                f"consensus has shown no proof of round {number}; the newest is {self.head_round}"
            ) from None

    def listen(self, listener: FinalListener) -> None:
        """Have a function called with headers that follow, in the turn in which they are proven."""
        self._listeners.append(listener)

    @property
    def first_round(self) -> int:
        """First round that can be proven and the index does not have."""
        return self._first

    def hash_of(self, number: int) -> bytes | None:
        """Hash of a finalized round; None where it is not kept: too new, or long in the index."""
        position = number - self._first
        return self._hashes[position] if 0 <= position < len(self._hashes) else None

    # -- following consensus -------------------------------------------------------------------

    async def _report_arrival(self) -> None:
        """Tell consensus, for who waits for a rewind, in which life of the chain this is."""
        incarnation = self._light_client.incarnation
        try:
            await self._consensus.report_incarnation(self._name, incarnation)
        except NotAdmitted as error:
            # A gateway that the genesis does not name: nobody waits for it.
            log.info("arrival_not_reported", incarnation=incarnation, reason=error.message)

    async def follow(self) -> None:
        """Follow consensus for ever."""
        delay = RETRY_S
        while True:
            try:
                await self._look()
                await self._report_arrival()
                delay = RETRY_S
                async for events in self._consensus.watch_news(
                    self._runtime_id,
                    Height(self._height + 1),
                    self._light_client.incarnation,
                    is_urgent=True,
                ):
                    await self._take(events)
            except ChainRewound:
                continue
            except QanatError as error:
                log.warning("finality_unknown", reason=error.message)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_S)

    async def _look(self) -> None:
        """Find out where the chain stands: at the start, and after it was rewound."""
        keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.INCARNATION,
            state_keys.last_block_key(self._runtime_id),
        )
        verified = self._light_client.verify(await self._consensus.fetch_proven_state(keys))
        context = verified.values.get(state_keys.CHAIN_CONTEXT)
        if context != self._trust_root.chain_context.encode():
            raise UnprovenHeader("the chain does not come from the genesis document")
        await self._adopt((self._read_head(verified),))
        await self._index.enter(verified.incarnation)
        self._height = verified.height

    async def _take(self, events: BlockEvents) -> None:
        headers = tuple(
            one.header for one in events.finalized if one.runtime_id == self._runtime_id
        )
        if headers:
            if events.proven is None:
                raise UnprovenHeader(f"no proof comes with the rounds of height {events.height}")
            head = self._read_head(self._light_client.verify_encoded(events.proven))
            await self._adopt((*headers[:-1], head))
            metrics.proofs_verified.inc()
        self._height = events.height

    def _read_head(self, verified: VerifiedState) -> BlockHeader:
        raw = verified.values.get(state_keys.last_block_key(self._runtime_id))
        if raw is None:
            raise UnprovenHeader(f"height {verified.height} has no block of this ParaTime")
        return decode_record(BlockHeader, raw)

    async def _adopt(self, headers: tuple[BlockHeader, ...]) -> None:
        """Take headers in a row, of which the last is proven; trace back what lies before."""
        hashes, head = _hashes_in_a_row(headers), headers[-1]
        if self._hashes and self._follows(headers[0]):
            self._hashes += hashes
            self._forget_indexed()
            for listener in self._listeners:
                listener(headers)
            self._announce()
        elif head.round != self.head_round or self.hash_of(head.round) != hashes[-1]:
            await self._trace_back(head)

    def _follows(self, header: BlockHeader) -> bool:
        return header.round == self.head_round + 1 and header.previous_hash == self._hashes[-1]

    def _announce(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _forget_indexed(self) -> None:
        """Drop hashes that the index has; the newest stays, so that the next can follow."""
        newest = self._index.newest
        if newest is None:
            return
        count = min(newest.number - self._first, len(self._hashes) - 1)
        if count > 0:
            del self._hashes[:count]
            self._first += count

    # -- the past ------------------------------------------------------------------------------

    async def _trace_back(self, head: BlockHeader) -> None:
        """
        Follow the hashes back from a proven block to a round that the index has too.

        Where the index has other rounds after that one, the network was rewound: it goes back.
        """
        async with self.settling:
            first, hashes = await self.past.trace(head, self._index, self._max_past)
            agreed = await self._find_agreed(first, hashes)
            # From here on nothing of another life of the chain is added.
            self._first, self._hashes = first, hashes
            newest = self._index.newest
            if newest is not None and newest.number > agreed:
                log.warning("chain_rewound", from_round=newest.number, to_round=agreed)
                await self._index.rollback(agreed)
        self._announce()

    async def _find_agreed(self, first: int, hashes: list[bytes]) -> int:
        """
        Give the last round of the index that is proven; -1 where none is, or none can be.

        Raises
        ------
        UnprovenHeader
            The index is ahead of what is proven, and the chain was not rewound since.
        """
        newest = self._index.newest
        if newest is None or first - 1 > newest.number:
            return -1
        last = first + len(hashes) - 1
        agreed = first - 1
        while agreed < last and await is_indexed(
            self._index, agreed + 1, hashes[agreed + 1 - first]
        ):
            agreed += 1
        is_same_life = self._light_client.incarnation <= self._index.incarnation
        if agreed == last and newest.number > last and is_same_life:
            raise UnprovenHeader(f"round {last} is shown as the newest after {newest.number} was")
        return agreed


def _hashes_in_a_row(headers: tuple[BlockHeader, ...]) -> list[bytes]:
    """Hashes of headers of which each names the one before, or raise `UnprovenHeader`."""
    hashes = [header.hash() for header in headers]
    for before, header in zip(hashes, headers[1:], strict=False):
        if header.previous_hash != before:
            raise UnprovenHeader(f"round {header.round} does not follow the one before it")
    return hashes
