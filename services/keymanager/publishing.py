"""What a key manager owes the network: new secrets, and an epoch that has one."""

import asyncio

import structlog

from services.keymanager import metrics
from services.keymanager.announcer import Announcer
from services.keymanager.enclave.protocol import EnclaveState, KeyManagerEnclaveApi
from services.keymanager.rules.duties import (
    DENIED_PATIENCE_MS,
    Publication,
    PublishEphemeral,
    PublishMaster,
    due_publications,
    find_loss,
    publisher_rank,
)
from services.keymanager.rules.proven_chain import KeyManagerChain
from shared.api.consensus import ConsensusApi
from shared.errors import Rejected
from shared.types.identity import NodeId

log = structlog.get_logger()

LONGEST_SLEEP_S = 30.0
"""The enclave sees a newer block at least this often, so that its clock and heights stay fresh."""
RETRY_S = 0.25
"""Pause after a publication [s]."""
RETRY_REFUSED_S = 0.03
"""Pause after consensus refused a publication: mostly a member has a new REK by now [s]."""


class SecretPublisher:
    """Publishes secrets when they fall due, by the enclave, and gives lost ones up."""

    def __init__(
        self,
        node_id: NodeId,
        enclave: KeyManagerEnclaveApi,
        consensus: ConsensusApi,
        announcer: Announcer,
    ) -> None:
        self._node_id, self._enclave = node_id, enclave
        self._consensus, self._announcer = consensus, announcer
        self._due_since: dict[Publication, float] = {}
        self._lost_since: float | None = None

    def forget(self) -> None:
        """Begin anew: the chain was rewound."""
        self._due_since, self._lost_since = {}, None

    async def give_up_lost(self, chain: KeyManagerChain, state: EnclaveState) -> float:
        """
        Move the network on to an epoch with secrets, where nobody has those of this one any more.

        It happens when all key managers restart at once. Without dev controls consensus refuses,
        and the epochs pass in their own time. Gives when to look again [s].
        """
        rank = publisher_rank(chain, self._node_id)
        loss = find_loss(chain, state.ephemeral_epochs)
        if rank is None or loss is None:
            self._lost_since = None
            return LONGEST_SLEEP_S
        now_s = asyncio.get_running_loop().time()
        self._lost_since = self._lost_since or now_s
        wait_s = self._lost_since + (1 + rank) * loss.patience_ms / 1000 - now_s
        if wait_s > 0:
            # Others may say meanwhile that they have it, or that they have it not.
            return min(wait_s, DENIED_PATIENCE_MS / 1000)
        self._lost_since = None
        if (await self._consensus.fetch_status()).epoch != chain.epoch:
            # Another member was first; a second step would leave good epochs behind.
            return 0.0
        log.warning("ephemeral_secrets_lost", epoch=chain.epoch, skipped=loss.skipped)
        metrics.lost_epochs.inc(loss.skipped)
        await self._consensus.advance_epoch(loss.skipped)
        return 0.0

    async def publish_due(self, chain: KeyManagerChain) -> float:
        """Publish what is due by now; give the time until the next falls due [s]."""
        now_s = asyncio.get_running_loop().time()
        due = due_publications(chain, self._node_id)
        # What another member has published meanwhile is not due any more.
        self._due_since = {duty: self._due_since.get(duty, now_s) for duty in due}
        sleep_s = LONGEST_SLEEP_S
        for duty in due:
            wait_s = self._due_since[duty] + duty.pause_ms / 1000 - now_s
            if wait_s <= 0:
                wait_s = RETRY_S if await self._publish_one(duty) else RETRY_REFUSED_S
            sleep_s = min(sleep_s, wait_s)
        return sleep_s

    async def _publish_one(self, duty: Publication) -> bool:
        """Publish; say whether consensus took it."""
        match duty:
            case PublishMaster():
                kind, secret = "master", await self._enclave.generate_master_secret()
            case PublishEphemeral(epoch=epoch):
                kind, secret = "ephemeral", await self._enclave.generate_ephemeral_secret(epoch)
        try:
            await self._announcer.publish(secret)
        except Rejected as error:
            # Mostly another member was first; the next turn sees what consensus holds.
            metrics.refused_publications.labels(kind).inc()
            log.info("publication_refused", kind=kind, reason=error.message)
            return False
        metrics.publications.labels(kind).inc()
        log.info("secret_published", kind=kind, epoch=secret.secret.epoch)
        return True
