"""Who may speak to the enclave through this host: registered nodes, and those about to register."""

import asyncio
from collections.abc import Collection

import structlog

from shared.api.consensus import ConsensusApi
from shared.errors import QanatError

log = structlog.get_logger()

REFRESH_S = 30.0
"""How long a node that has left the registry is still listened to [s]; its enclave is judged by
policy and registry at each request of its own."""
PAUSE_S = 0.25
"""Least time between two questions to consensus, however many strangers call [s]."""


class RegisteredCallers:
    """The keys of nodes whose messages are relayed to the enclave."""

    def __init__(self, consensus: ConsensusApi, foreseen: Collection[bytes]) -> None:
        """`foreseen` are nodes that may call before they are registered."""
        self._consensus = consensus
        self._foreseen = frozenset(foreseen)
        self._registered: frozenset[bytes] = frozenset()
        self._unknown_called = asyncio.Event()

    def admits(self, node_key: bytes) -> bool:
        """Say whether a node may call; one that is not known makes this host look again."""
        if node_key in self._registered or node_key in self._foreseen:
            return True
        self._unknown_called.set()
        return False

    async def keep_known(self) -> None:
        """Follow the registry until cancelled."""
        while True:
            try:
                nodes = await self._consensus.fetch_nodes()
                self._registered = frozenset(node.id for node in nodes)
            except QanatError as error:
                log.debug("registry_not_read", reason=error.message)
            await asyncio.sleep(PAUSE_S)
            self._unknown_called.clear()
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._unknown_called.wait()
            except TimeoutError:
                continue
