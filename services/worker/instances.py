"""One app on this worker: its enclave is kept running, and its registration is kept up."""

import asyncio
import contextlib

import structlog

from services.worker import metrics
from services.worker.enclave.protocol import (
    EnclaveDescription,
    EnclaveState,
    WorkerEnclaveApi,
    WorkerHostApi,
)
from services.worker.host_edge import HostEdge
from services.worker.launching import Launching
from services.worker.registering import Registering
from services.worker.rules.bundle import bundle_hash, decode_bundle
from services.worker.store import Deployment, DeploymentStore
from shared.api.worker import InstanceState, InstanceStatus
from shared.errors import QanatError, Unavailable
from shared.kit.enclave_host import EnclaveHost
from shared.types.identity import Epoch

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
"""Pause before an enclave is started again, or a registration tried again [s]; it doubles."""


class NotRunning(Unavailable, module="worker", code=24):
    """The instance's enclave does not run."""


class Instance:
    """An app on this worker, whether it runs or not."""

    def __init__(
        self,
        deployment: Deployment,
        store: DeploymentStore,
        launching: Launching,
        registering: Registering,
        edge: HostEdge,
        *,
        appd_port: int,
    ) -> None:
        self.app_id = deployment.app_id
        """21 bytes."""
        self._name, self._path = deployment.name, store.bundle(deployment.app_id)
        self._launching, self._registering, self._edge = launching, registering, edge
        self._appd_port = appd_port
        raw = self._path.read_bytes()
        self._manifest, self._hash = decode_bundle(raw).manifest, bundle_hash(raw)
        self._is_wanted = deployment.is_wanted
        self._epoch: Epoch | None = None
        self._news = asyncio.Event()
        self._enclave: EnclaveHost[WorkerEnclaveApi] | None = None
        self._described: EnclaveDescription | None = None
        self._state: EnclaveState | None = None
        self._reason = ""
        self._restarts = 0

    async def run(self) -> None:
        """Keep the instance as it is wanted, until cancelled; its enclave ends with that."""
        pause_s, starts = FIRST_PAUSE_S, 0
        while self._is_wanted:
            self._restarts = starts
            starts += 1
            try:
                if await self._run_once():
                    pause_s = FIRST_PAUSE_S
            finally:
                self._enclave = self._described = self._state = None
            log.warning("instance_ended", instance=self._name, reason=self._reason)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @property
    def title(self) -> str:
        """Name of the app, as its manifest has it."""
        return self._manifest.name

    def enter(self, epoch: Epoch) -> None:
        """Take note of a new epoch, or of a later life of the chain: the registration is due."""
        self._epoch = epoch
        self._news.set()

    async def status(self) -> InstanceStatus:
        """Where the instance stands."""
        if self._enclave is not None and self._state is not None:
            with contextlib.suppress(QanatError):
                self._state = await self._enclave.enclave.fetch_state()
        described, state = self._described, self._state
        return InstanceStatus(
            app_id=self.app_id,
            name=self._manifest.name,
            version=self._manifest.version,
            bundle_hash=self._hash,
            state=self.stage(),
            reason=self._reason,
            enclave=None if described is None else described.identity,
            rak=None if described is None else described.rak,
            expiration=None if state is None else state.expiration,
            enclave_restarts=self._restarts,
            app=None if state is None else state.app,
        )

    async def logs(self) -> bytes:
        """Give the end of what the program wrote, or raise `NotRunning`."""
        if self._enclave is None:
            raise NotRunning(f"the enclave of {self._manifest.name} does not run: {self._reason}")
        return await self._enclave.enclave.fetch_logs()

    def stage(self) -> InstanceState:
        """Give the state, as this host saw it last."""
        if not self._is_wanted:
            return InstanceState.STOPPED
        if self._described is None:
            return InstanceState.STARTING
        if self._state is None or self._state.expiration is None:
            return InstanceState.REGISTERING
        return InstanceState.RUNNING

    async def _run_once(self) -> bool:
        """Run one enclave to its end; say whether it ever registered."""
        try:
            self._enclave = host = await self._launching.start(
                self._name, self._path, self._appd_port, (WorkerHostApi, self._edge)
            )
        except QanatError as error:
            self._reason = error.message
            return False
        keeping = asyncio.create_task(self._keep_registered(host.enclave))
        watching = asyncio.create_task(host.watch())
        try:
            await asyncio.wait({keeping, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (keeping, watching):
                task.cancel()
            results = await asyncio.gather(keeping, watching, return_exceptions=True)
        for result in results:
            # The end of the enclave is what both wait for; anything else is a bug.
            if isinstance(result, Exception) and not isinstance(result, QanatError):
                raise result
        has_registered = self._state is not None and self._state.expiration is not None
        self._reason = await self._launching.until_ended(self._name) or self._reason
        return has_registered

    async def _keep_registered(self, enclave: WorkerEnclaveApi) -> None:
        self._described = described = await enclave.describe()
        pause_s = FIRST_PAUSE_S
        while True:
            self._news.clear()
            try:
                self._state = await self._registering.renew(self.app_id, enclave, described)
            except QanatError as error:
                metrics.refused_registrations.inc()
                if self._reason != error.message:
                    log.warning(
                        "instance_not_registered", instance=self._name, reason=error.message
                    )
                self._reason = error.message
                with contextlib.suppress(QanatError):
                    # An app whose registration has ended is to learn it.
                    self._state = await self._registering.synchronize(enclave, described)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            self._reason, pause_s = "", FIRST_PAUSE_S
            log.info("instance_registered", instance=self._name, until=self._state.expiration)
            await self._news.wait()
