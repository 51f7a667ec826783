"""Runs an app on the workers of a network, and looks after it there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from qanat.network import NodePlan
from qanat.node_client import NodeClient
from qanat.observe import Running
from shared.api.worker import InstanceState, InstanceStatus, WorkerApi, worker_client
from shared.errors import Rejected, Unavailable
from shared.rules.app_ids import encode_app_id

POLL_S = 0.2
T = TypeVar("T")


class NoWorkers(Rejected, module="rofl_cli", code=8):
    """The network has no workers, or none of this name."""


class NotRunningYet(Unavailable, module="rofl_cli", code=9):
    """An instance does not run when the time is up; it goes on trying."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that a command is about."""

    plans: tuple[NodePlan, ...]
    token: str | None

    @classmethod
    def of(cls, running: Running, names: Sequence[str]) -> "Workers":
        """Give the workers of a network, or those named; raises `NoWorkers`."""
        plans = running.plans_of("worker")
        if not plans:
            raise NoWorkers(
                "this network has no workers: start one of networks/workers.toml, "
                "or add [worker] to its network file"
            )
        known = {plan.name: plan for plan in plans}
        for name in names:
            if name not in known:
                raise NoWorkers(f"no worker {name!r}: there are {', '.join(known)}")
        return cls(tuple(known[name] for name in names) or plans, running.dev_token)

    def each(self, ask: Callable[[WorkerApi], Awaitable[T]]) -> dict[str, T]:
        """Ask every worker at once; answers by its name. Raises the first error."""
        return self.each_named(lambda _, worker: ask(worker))

    def each_named(self, ask: Callable[[str, WorkerApi], Awaitable[T]]) -> dict[str, T]:
        """As `each`, where the question needs the worker's name."""

        async def one(plan: NodePlan) -> T:
            async with NodeClient(plan, dev_token=self.token) as client:
                return await ask(plan.name, worker_client(client))

        async def all_of_them() -> list[T]:
            return await asyncio.gather(*map(one, self.plans))

        answers = asyncio.run(all_of_them())
        return {plan.name: answer for plan, answer in zip(self.plans, answers, strict=True)}


def deploy(
    workers: Workers,
    app_id: bytes,
    bundle: bytes,
    patience_s: float,
    progress: Callable[[str], None],
) -> dict[str, InstanceStatus]:
    """
    Hand a bundle to workers and wait until each runs it.

    Raises
    ------
    NotRunningYet
        The time is up; says what each instance waits for.
    PeerUnavailable, Rejected
        A worker does not answer, or refuses the bundle.
    """

    async def one(name: str, worker: WorkerApi) -> InstanceStatus:
        now = await worker.deploy(app_id, bundle)
        told = ""
        for _ in range(int(patience_s / POLL_S)):
            if now.state is InstanceState.RUNNING:
                return now
            line = f"{name}: {now.state.value}{': ' + now.reason if now.reason else ''}"
            if line != told:
                progress(line)
                told = line
            await asyncio.sleep(POLL_S)
            now = find_instance((await worker.fetch_status()).instances, app_id) or now
        raise NotRunningYet(
            f"{name}: {encode_app_id(app_id)} is {now.state.value} after {patience_s:g} s"
            f"{': ' + now.reason if now.reason else ''}"
        )

    return workers.each_named(one)


def fetch_instances(workers: Workers, app_id: bytes) -> dict[str, InstanceStatus | None]:
    """Ask how an app is on each worker; None where it is not."""

    async def one(worker: WorkerApi) -> InstanceStatus | None:
        return find_instance((await worker.fetch_status()).instances, app_id)

    return workers.each(one)


def find_instance(instances: Sequence[InstanceStatus], app_id: bytes) -> InstanceStatus | None:
    """Find an app among the instances of a worker."""
    return next((one for one in instances if one.app_id == app_id), None)


def shown_instance(name: str, status: InstanceStatus) -> dict[str, Any]:
    """Put an instance into texts and numbers."""
    app, enclave = status.app, status.enclave
    return {
        "worker": name,
        "app_id": encode_app_id(status.app_id),
        "name": status.name,
        "version": status.version,
        "state": status.state.value,
        "reason": status.reason,
        "bundle": status.bundle_hash.hex(),
        "mr_enclave": None if enclave is None else enclave.mr_enclave.hex(),
        "rak": None if status.rak is None else status.rak.hex(),
        "expiration": status.expiration,
        "enclave_restarts": status.enclave_restarts,
        "pid": None if app is None else app.pid,
        "restarts": None if app is None else app.restarts,
        "exit_status": None if app is None else app.exit_status,
    }
