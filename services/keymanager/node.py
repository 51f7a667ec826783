"""
The loop of a key manager's host: the single writer of what the node is and does.

Each turn shows the newest block to the enclave, then does what is due: registers the node, has the
enclave replicate what it lacks, publishes secrets. A block that concerns the key manager starts a
turn; so does the time at which a publication falls due. What failed is due again at the next turn.
"""

import asyncio
from contextlib import suppress

import structlog

from services.keymanager import metrics
from services.keymanager.announcer import Announcer
from services.keymanager.enclave.protocol import (
    EnclaveDescription,
    EnclaveState,
    KeyManagerEnclaveApi,
)
from services.keymanager.peers import KeyManagerPeers
from services.keymanager.publishing import LONGEST_SLEEP_S, SecretPublisher
from services.keymanager.rules.duties import (
    Registration,
    replication_peers,
)
from services.keymanager.rules.proven_chain import (
    IncompleteProof,
    KeyManagerChain,
    proven_keys,
    read_chain,
)
from shared.api.consensus import BlockEvents, ChainRewound, ConsensusApi
from shared.api.keymanager import KeyManagerNodeStatus
from shared.errors import QanatError, Unavailable
from shared.kit.link import until_available
from shared.types.identity import Epoch, Height, Incarnation, NodeId
from shared.types.keymanager import SignedInitResponse

log = structlog.get_logger()

RETRY_S = 0.25
"""Pause after a turn that failed [s]."""
SYNCHRONIZE_TRIES = 3
RETRY_MASTER_S = 0.25
"""Pause before another member is asked again for the master secret [s]."""
RETRY_EPHEMERAL_S = 2.0
"""The same for ephemeral secrets, which nobody may have any more [s]."""


class KeyManagerNode:
    """State and duties of one key manager node."""

    def __init__(
        self,
        name: str,
        node_id: NodeId,
        enclave: KeyManagerEnclaveApi,
        description: EnclaveDescription,
        consensus: ConsensusApi,
        announcer: Announcer,
        peers: KeyManagerPeers,
    ) -> None:
        self.enclave = enclave
        self._name, self._node_id, self._description = name, node_id, description
        self._consensus, self._announcer, self._peers = consensus, announcer, peers
        self._wake = asyncio.Event()
        self._chain: KeyManagerChain | None = None
        self._state: EnclaveState | None = None
        self._registered: Registration | None = None
        self._reported: Incarnation | None = None
        self._publisher = SecretPublisher(node_id, enclave, consensus, announcer)
        self.is_open = False
        """
        Whether sessions are answered: after the first turn.

        Before, an enclave that restarted might say that an epoch's secret is gone that another
        key manager is about to give it.
        """

    # -- what others see -----------------------------------------------------------------------

    def status(self) -> KeyManagerNodeStatus:
        """Where the node stands."""
        state, chain = self._state, self._chain
        return KeyManagerNodeStatus(
            name=self._name,
            node_id=self._node_id,
            runtime_id=self._description.runtime_id,
            is_ready=not self.waits_for(),
            generation=0 if chain is None else chain.status.generation,
            epoch=Epoch(0) if state is None else state.epoch,
            mr_enclave=self._description.identity.mr_enclave,
            is_mock_tee=True,
        )

    def waits_for(self) -> str:
        """What is missing until the node is ready; empty when nothing is."""
        state, chain = self._state, self._chain
        if state is None or chain is None:
            return "consensus"
        if self._registered is None or not state.is_fresh:
            return "registration"
        if not chain.status.is_initialized or state.lacks_master:
            return "the master secret"
        if state.epoch not in state.ephemeral_epochs:
            return "this epoch's ephemeral secret"
        if state.epoch not in self._registered.init_response.ephemeral_epochs:
            return "registration with this epoch's ephemeral secret"
        return ""

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the chain and do what is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_blocks())
            tasks.create_task(self._take_turns())

    async def _follow_blocks(self) -> None:
        async def follow() -> None:
            status = await self._consensus.fetch_status()
            # Consensus remembers no reports over its own restart.
            self._reported = None
            self._wake.set()
            with suppress(ChainRewound):
                async for events in self._consensus.watch_news(
                    self._description.runtime_id, Height(status.height + 1), status.incarnation
                ):
                    if self._concerns_us(events):
                        self._wake.set()

        while True:
            await until_available(follow)

    def _concerns_us(self, events: BlockEvents) -> bool:
        return bool(
            events.is_epoch_change
            or any(status.id == self._description.runtime_id for status in events.key_managers)
            or any(
                signed.secret.runtime_id == self._description.runtime_id
                for signed in events.secrets
            )
        )

    async def _take_turns(self) -> None:
        while True:
            self._wake.clear()
            sleep_s = LONGEST_SLEEP_S
            try:
                sleep_s = await self._take_turn()
            except Unavailable as error:
                log.info("turn_postponed", reason=error.message)
                sleep_s = RETRY_S
            except QanatError as error:
                log.warning(
                    "turn_failed", module=error.module, code=error.code, reason=error.message
                )
                sleep_s = RETRY_S
            metrics.is_ready.set(not self.waits_for())
            try:
                async with asyncio.timeout(sleep_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _take_turn(self) -> float:
        """Do everything that is due; give the time until something else falls due [s]."""
        was_ready = not self.waits_for()
        chain, state = await self._synchronize()
        if state.incarnation != self._reported:
            await self._consensus.report_incarnation(self._name, state.incarnation)
            self._reported = state.incarnation
        sleep_s = LONGEST_SLEEP_S
        if self._is_replication_due(chain, state):
            state = await self._replicate(chain, state)
            if self._is_replication_due(chain, state):
                sleep_s = RETRY_MASTER_S if state.lacks_master else RETRY_EPHEMERAL_S
        self.is_open = True
        if state.init_response is not None and await self._register(state, state.init_response):
            # See it at once: the enclave releases nothing before, and publishes to its new REK.
            return 0.0
        sleep_s = min(sleep_s, await self._publisher.give_up_lost(chain, state))
        sleep_s = min(sleep_s, await self._publisher.publish_due(chain))
        if not was_ready and not self.waits_for():
            log.info("keymanager_ready", epoch=state.epoch, generation=chain.status.generation)
        return sleep_s

    def _is_replication_due(self, chain: KeyManagerChain, state: EnclaveState) -> bool:
        if state.lacks_master or state.lacks_ephemeral:
            return True
        if chain.ephemeral is None:
            return False
        # A secret was published for this epoch, but before we could read it.
        is_published = chain.ephemeral.secret.epoch >= state.epoch
        lost = is_published and state.epoch not in state.ephemeral_epochs
        return lost or not self.is_open

    async def _synchronize(self) -> tuple[KeyManagerChain, EnclaveState]:
        for _ in range(SYNCHRONIZE_TRIES - 1):
            try:
                return await self._show_newest_block()
            except IncompleteProof:
                # The committee changed between the question and the proof: members register.
                continue
        return await self._show_newest_block()

    async def _show_newest_block(self) -> tuple[KeyManagerChain, EnclaveState]:
        runtime_id = self._description.runtime_id
        status = await self._consensus.fetch_key_manager(runtime_id)
        members = () if status is None else status.nodes
        keys = proven_keys(runtime_id, members, self._node_id, self._description.family)
        proven = await self._consensus.fetch_proven_state(keys)
        state = await self.enclave.synchronize(proven)
        if self._state is not None and state.incarnation != self._state.incarnation:
            # The chain that it goes on from may not know this start of the enclave.
            log.warning("chain_rewound", incarnation=state.incarnation, height=state.height)
            self._registered = None
            self._publisher.forget()
        chain = read_chain(dict(proven.items), runtime_id)
        self._peers.learn(chain.members)
        self._chain = chain
        self._note(state)
        return chain, state

    def _note(self, state: EnclaveState) -> None:
        if state.policy_refusal and (
            self._state is None or state.policy_refusal != self._state.policy_refusal
        ):
            log.error("policy_refused", reason=state.policy_refusal)
        self._state = state
        metrics.epoch.set(state.epoch)
        metrics.generations.set(state.generations)
        metrics.ephemeral_epochs.set(len(state.ephemeral_epochs))

    async def _register(self, state: EnclaveState, init_response: SignedInitResponse) -> bool:
        """Register what is new; say whether anything was."""
        wanted = Registration(state.epoch, init_response.response)
        if self._registered is not None and self._registered.covers(wanted):
            return False
        capability = await self.enclave.attest(self._node_id)
        await self._announcer.register(capability, init_response, state.epoch)
        self._registered = wanted
        metrics.registrations.inc()
        log.info("node_registered", epoch=state.epoch, height=state.height)
        return True

    async def _replicate(self, chain: KeyManagerChain, state: EnclaveState) -> EnclaveState:
        for peer in replication_peers(chain, self._node_id):
            try:
                replicated = await self.enclave.replicate(peer)
            except QanatError as error:
                log.info("replication_failed", peer=peer.hex(), reason=error.message)
                continue
            if replicated != state:
                metrics.replications.inc()
                log.info(
                    "secrets_replicated",
                    peer=peer.hex(),
                    generations=replicated.generations,
                    epochs=len(replicated.ephemeral_epochs),
                )
            state = replicated
            self._note(state)
            if not state.lacks_master and not state.lacks_ephemeral:
                break
        return state
