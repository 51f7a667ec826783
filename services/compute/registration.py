"""Keeping the node in the registry, attested anew in every epoch, and its keys at hand."""

import asyncio

import structlog

from services.compute import metrics
from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.api.registration import Registrar
from shared.errors import QanatError
from shared.types.identity import Epoch, NodeId
from shared.types.key_requests import FreshnessUnproven

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5
"""Pause after a failure [s]; it doubles. Short, since at the start everybody waits for it."""


class Standing:
    """What the node needs in each epoch to take part: a registration and keys."""

    def __init__(self, node_id: NodeId, enclave: ComputeEnclaveApi, registrar: Registrar) -> None:
        self._node_id, self._enclave, self._registrar = node_id, enclave, registrar
        self._news = asyncio.Event()
        self._epoch: Epoch | None = None
        self._registered: Epoch | None = None
        self._keyed: set[int] = set()
        self._coming: Epoch | None = None
        self._forgotten = 0

    def waits_for(self, epoch: Epoch) -> list[str]:
        """Name what the node lacks in an epoch."""
        missing = [] if self._registered == epoch else ["registration"]
        return missing if epoch in self._keyed else [*missing, "keys"]

    def enter(self, epoch: Epoch) -> None:
        """Take note of a new epoch."""
        self._epoch = epoch
        self._news.set()

    def forget(self) -> None:
        """Register and fetch keys again: the chain was rewound, and may know neither."""
        self._registered, self._keyed, self._coming = None, set(), None
        self._forgotten += 1
        self._news.set()

    def announce(self, epoch: Epoch) -> None:
        """Take note that the secret of an epoch was published: its keys can be fetched."""
        self._coming = epoch
        self._news.set()

    async def keep_registered(self) -> None:
        """Register in each epoch, until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            epoch, forgotten = self._epoch, self._forgotten
            if epoch is None or epoch == self._registered:
                await self._until_news()
                continue
            try:
                capability = await self._enclave.attest(self._node_id)
                await self._registrar.register(epoch, capability)
            except QanatError as error:
                log.warning("registration_failed", epoch=epoch, reason=error.message)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            if forgotten != self._forgotten:
                continue
            self._registered = epoch
            metrics.registrations.inc()
            log.info("node_registered", epoch=epoch)

    async def keep_keys(self) -> None:
        """Have the enclave fetch the keys of each epoch, ahead of it where that can be."""
        pause_s = FIRST_PAUSE_S
        while True:
            wanted = {e for e in (self._epoch, self._coming) if e is not None} - self._keyed
            if not wanted:
                await self._until_news()
                continue
            epoch, forgotten = min(wanted), self._forgotten
            try:
                await self._enclave.prepare_epoch(epoch)
            except QanatError as error:
                log.debug("keys_awaited", epoch=epoch, reason=error.message)
                if isinstance(error, FreshnessUnproven):
                    # The registration is on its way; it takes no longer than a block.
                    pause_s = FIRST_PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                if epoch != self._epoch:
                    self._coming = None
                continue
            pause_s = FIRST_PAUSE_S
            if forgotten != self._forgotten:
                continue
            self._keyed = {e for e in self._keyed if e >= epoch - 1} | {epoch}
            log.info("keys_ready", epoch=epoch)

    async def _until_news(self) -> None:
        news = self._news
        await news.wait()
        if self._news is news:
            self._news = asyncio.Event()
