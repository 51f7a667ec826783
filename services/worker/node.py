"""The loop of a worker's host: its own registration, and the instances that it runs."""

import asyncio
from contextlib import closing, suppress
from dataclasses import replace

import structlog

from services.worker import metrics
from services.worker.enclave.engine import connect, verify_images
from services.worker.host_edge import HostEdge
from services.worker.instances import Instance
from services.worker.launching import Launching
from services.worker.registering import Registering
from services.worker.rules.bundle import decode_bundle
from services.worker.rules.containers import Services
from services.worker.store import Deployment, DeploymentStore
from shared.api.consensus import ChainRewound, ConsensusApi
from shared.api.registration import NodeRegistrar
from shared.api.worker import InstanceState, InstanceStatus, WorkerStatus
from shared.errors import QanatError, Rejected
from shared.kit.instance_socket import MAX_INSTANCES
from shared.kit.link import until_available
from shared.types.identity import Epoch, Height, NodeId, RuntimeId
from shared.types.registry import NodeRuntime, Role

log = structlog.get_logger()

RETRY_S = 0.5
"""Pause after a registration that failed [s]."""


class UnknownApp(Rejected, module="worker", code=25):
    """No app of this id is deployed here."""


class WorkerFull(Rejected, module="worker", code=26):
    """As many apps are deployed here as a worker takes."""


class WorkerNode:
    """State and duties of one worker."""

    def __init__(
        self,
        name: str,
        node_id: NodeId,
        runtime: NodeRuntime,
        consensus: ConsensusApi,
        registrar: NodeRegistrar,
        registering: Registering,
        launching: Launching,
        store: DeploymentStore,
        edge: HostEdge,
        *,
        appd_ports: int,
    ) -> None:
        self.name, self.node_id, self._runtime = name, node_id, runtime
        self._consensus, self._registrar, self._registering = consensus, registrar, registering
        self._launching, self._store, self._edge = launching, store, edge
        self._appd_ports = appd_ports
        self._epoch: Epoch | None = None
        self._registered: Epoch | None = None
        self._is_due = asyncio.Event()
        self._order = asyncio.Lock()
        self._instances: dict[bytes, Instance] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._ports: dict[bytes, int] = {}
        self._failed: asyncio.Future[None] | None = None
        metrics.running.set_function(
            lambda: sum(stage is InstanceState.RUNNING for _, _, stage in self.stages())
        )

    # -- what others see -----------------------------------------------------------------------

    def waits_for(self) -> str:
        """What is missing until apps can run here; empty when nothing is."""
        if self._epoch is None:
            return "consensus"
        return "" if self._registered == self._epoch else "registration"

    @property
    def runtime_id(self) -> RuntimeId:
        """The ParaTime in which apps register."""
        return RuntimeId(self._runtime.id)

    @property
    def epoch(self) -> Epoch:
        """Epoch of the newest block that this host has seen."""
        return self._epoch or Epoch(0)

    async def status(self) -> WorkerStatus:
        """Where the worker and its instances stand; asks the enclaves."""
        statuses = await asyncio.gather(*(one.status() for one in self._instances.values()))
        return WorkerStatus(
            name=self.name,
            node_id=self.node_id,
            runtime_id=self.runtime_id,
            is_ready=not self.waits_for(),
            epoch=self.epoch,
            instances=tuple(statuses),
        )

    def stages(self) -> list[tuple[bytes, str, InstanceState]]:
        """App id, name and state of each instance, without asking enclaves."""
        return [(one.app_id, one.title, one.stage()) for one in self._instances.values()]

    async def logs(self, app_id: bytes) -> bytes:
        """Give the end of what a program wrote."""
        return await self._find(app_id).logs()

    # -- what operators ask --------------------------------------------------------------------

    async def deploy(self, app_id: bytes, bundle: bytes) -> InstanceStatus:
        """
        Run an app, or another bundle of it.

        Raises
        ------
        BadBundle, WorkerFull, CannotKeep
            See each class.
        NoEngine, ImageMissing
            It is one of containers, and this machine cannot run them.
        """
        services = decode_bundle(bundle).manifest.containers
        if services is not None:
            await asyncio.to_thread(_verify_engine, services)
        async with self._order:
            if app_id not in self._instances and len(self._instances) >= MAX_INSTANCES:
                raise WorkerFull(f"a worker runs at most {MAX_INSTANCES} apps")
            deployment = Deployment(app_id)
            await self._end(app_id)
            self._store.save(deployment, bundle)
            return await self._begin(deployment).status()

    async def set_wanted(self, app_id: bytes, *, is_wanted: bool) -> InstanceStatus:
        """Stop an instance, or let it run again, or raise `UnknownApp`."""
        async with self._order:
            self._find(app_id)
            deployment = replace(Deployment(app_id), is_wanted=is_wanted)
            self._store.save(deployment)
            await self._end(app_id)
            return await self._begin(deployment).status()

    async def remove(self, app_id: bytes) -> None:
        """Stop an instance and forget it, or raise `UnknownApp`."""
        async with self._order:
            name = Deployment(self._find(app_id).app_id).name
            await self._end(app_id)
            del self._instances[app_id]
            self._ports.pop(app_id, None)
            await self._launching.stop(name, forget=True)
            self._store.forget(app_id)

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the chain, and run what is deployed, until cancelled."""
        self._failed = asyncio.get_running_loop().create_future()
        try:
            for deployment in self._store.load()[:MAX_INSTANCES]:
                try:
                    self._begin(deployment)
                except Rejected as error:
                    log.error("deployment_unreadable", app=deployment.name, reason=error.message)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_blocks())
                tasks.create_task(self._keep_registered())
                tasks.create_task(self._until_failed(self._failed))
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _until_failed(self, failed: "asyncio.Future[None]") -> None:
        await failed

    async def _follow_blocks(self) -> None:
        async def follow() -> None:
            status = await self._consensus.fetch_status()
            self._enter(status.epoch)
            with suppress(ChainRewound):
                async for events in self._consensus.watch_news(
                    RuntimeId(self._runtime.id), Height(status.height + 1), status.incarnation
                ):
                    if events.is_epoch_change or events.epoch != self._epoch:
                        self._enter(events.epoch)

        while True:
            await until_available(follow)

    def _enter(self, epoch: Epoch) -> None:
        self._epoch, self._registered = epoch, None
        self._is_due.set()

    async def _keep_registered(self) -> None:
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            epoch = self._epoch
            if epoch is None:
                continue
            try:
                await self._registrar.renew(epoch, Role.OBSERVER, self._runtime)
            except QanatError as error:
                log.warning("registration_failed", epoch=epoch, reason=error.message)
                await asyncio.sleep(RETRY_S)
                self._is_due.set()
                continue
            if epoch == self._epoch:
                self._registered = epoch
                metrics.is_ready.set(1)
                log.info("node_registered", epoch=epoch)
            for instance in self._instances.values():
                instance.enter(epoch)

    # -- instances -----------------------------------------------------------------------------

    def _find(self, app_id: bytes) -> Instance:
        found = self._instances.get(app_id)
        if found is None:
            raise UnknownApp(f"app {app_id.hex()} is not deployed here")
        return found

    def _begin(self, deployment: Deployment) -> Instance:
        instance = self._instances[deployment.app_id] = Instance(
            deployment,
            self._store,
            self._launching,
            self._registering,
            self._edge,
            appd_port=self._port_of(deployment.app_id),
        )
        task = self._tasks[deployment.app_id] = asyncio.create_task(instance.run())
        task.add_done_callback(self._note_end)
        return instance

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        # What a loop does not expect is a bug, and ends the host as one.
        bug = None if task.cancelled() else task.exception()
        if bug is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(bug)

    async def _end(self, app_id: bytes) -> None:
        task = self._tasks.pop(app_id, None)
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._launching.stop(Deployment(app_id).name)

    def _port_of(self, app_id: bytes) -> int:
        if not self._appd_ports:
            return 0
        if app_id not in self._ports:
            used = set(self._ports.values())
            self._ports[app_id] = next(
                port
                for port in range(self._appd_ports, self._appd_ports + MAX_INSTANCES)
                if port not in used
            )
        return self._ports[app_id]


def _verify_engine(services: Services) -> None:
    with closing(connect()) as engine:
        verify_images(engine, services)
