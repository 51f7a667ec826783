"""The host's side of the enclave's way along the chain: proofs in, and where it stands."""

import asyncio

import structlog

from services.compute.chain_reader import ChainReader
from services.compute.enclave.protocol import ComputeEnclaveApi, EnclaveState
from services.compute.feed import RoundFeed
from shared.encoding.record import encode_record
from shared.errors import QanatError, Unavailable
from shared.rules.light_client import OldIncarnation
from shared.types.block import BlockHeader
from shared.types.identity import Round
from shared.types.proof import ProvenBytes, ProvenState

log = structlog.get_logger()

TAKE_UP_TIMEOUT_S = 5.0
"""How long a query waits for the enclave to take up a round that is already final [s]."""


class NodeNotLevel(Unavailable, module="compute", code=24):
    """The node is catching up; ask another one, or later."""


class EnclaveFollower:
    """Shows the enclave the chain. The node's loop decides what its answers mean."""

    def __init__(self, enclave: ComputeEnclaveApi, feed: RoundFeed, chain: ChainReader) -> None:
        self._enclave, self._feed, self._chain = enclave, feed, chain
        self._state: EnclaveState | None = None
        self._moved = asyncio.Event()

    @property
    def is_shown(self) -> bool:
        """Whether the enclave has seen the chain at all."""
        return self._state is not None

    @property
    def state(self) -> EnclaveState:
        """Where the enclave stands, or `NodeNotLevel`."""
        if self._state is None:
            raise NodeNotLevel("the enclave has not been shown the chain yet")
        return self._state

    def note(self, state: EnclaveState) -> None:
        """Take note of where it stands, and wake who waits for it."""
        self._state = state
        self._moved.set()
        self._moved = asyncio.Event()

    async def initialize(self, proven: ProvenState, head: BlockHeader) -> EnclaveState:
        """Show it where the chain stands; it goes back by itself, on the same proof."""
        state = await self._enclave.initialize(proven)
        if not state.is_level:
            # The states may be here, and only the headers that make them final are not.
            headers = await self._chain.fetch_headers(state.next_round, head)
            # A node that is further behind gets the rounds between from its peers.
            if headers and headers[-1] == head:
                shown = ProvenBytes(encode_record(proven))
                state = await self._enclave.advance(shown, headers[:-1])
        return state

    async def advance(
        self, proven: ProvenBytes, between: tuple[BlockHeader, ...]
    ) -> EnclaveState | None:
        """Show it a newer block; None where it refused."""
        try:
            return await self._enclave.advance(proven, between)
        except OldIncarnation:
            return None  # void: it was on its way while the network went back
        except QanatError as error:
            log.error("proof_refused", reason=error.message)
            return None

    async def newest_taken_up(self) -> Round:
        """
        Give the newest published round, once the enclave has taken it up.

        Rounds are published without waiting for the enclave, so a client may know of a round a
        moment earlier than the enclave does.
        """
        round_ = Round(self._feed.next_round - 1)
        if self._state is not None and self._state.next_round > round_ >= 0:
            return round_
        try:
            async with asyncio.timeout(TAKE_UP_TIMEOUT_S):
                while self._state is None or round_ < 0 or self._state.next_round <= round_:
                    await self._moved.wait()
                    if round_ < 0:
                        round_ = Round(self._feed.next_round - 1)
        except TimeoutError:
            raise NodeNotLevel(f"the enclave has not taken up round {round_}") from None
        return round_
