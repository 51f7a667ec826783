"""What the enclave asks its host."""

import asyncio

from services.compute.peers import KeyManagers
from shared.api.consensus import ConsensusApi
from shared.errors import PeerUnavailable
from shared.types.identity import Round, RuntimeId
from shared.types.proof import ProvenState

CONSENSUS_TIMEOUT_S = 2.0
"""
How long consensus may take to prove a state to an enclave that executes [s].

One of long ago is put together from its entries, which takes a tenth of a second.
"""


class HostAnswers:
    """Fulfils `ComputeHostApi`."""

    def __init__(self, key_managers: KeyManagers, consensus: ConsensusApi) -> None:
        self._key_managers, self._consensus = key_managers, consensus

    async def call_key_manager(self, session_id: bytes, message: bytes) -> bytes:
        """Carry one session message to a key manager; see `KeyManagers`."""
        return await self._key_managers.call_key_manager(session_id, message)

    async def fetch_round_state(
        self,
        runtime_id: RuntimeId,
        round: Round,  # noqa: A002
        keys: tuple[bytes, ...],
    ) -> ProvenState:
        """
        Fetch what consensus held after the block that made a round final, with proof.

        Raises
        ------
        PeerUnavailable
            Consensus did not answer in time.
        UnknownRound, UnknownHeight
            It does not keep that state.
        """
        try:
            async with asyncio.timeout(CONSENSUS_TIMEOUT_S):
                return await self._consensus.fetch_round_state(runtime_id, round, keys)
        except TimeoutError:
            raise PeerUnavailable("consensus does not prove its state in time") from None
