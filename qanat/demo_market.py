"""The market's app on the workers of a network, as `qanat rofl` leads it there."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apps.data_market.worker.__main__ import SERVING
from apps.inference.verify.policy import Policy as Attested
from qanat.observe import Running
from qanat.rofl.building import (
    Built,
    build,
    fetch_code,
    fetch_genesis,
    note_identity,
    runtime_id_of,
)
from qanat.rofl.bundle import enclave_report
from qanat.rofl.deploying import Workers, deploy, fetch_instances
from qanat.rofl.project import Project, Signer, create_app, init_project
from qanat.rofl.reach import app_url, gateway_inside
from qanat.rofl.ready_made import find_program, write_program
from shared.api.worker import InstanceStatus, WorkerApi
from shared.errors import QanatError, Rejected, Unavailable
from shared.rules.app_ids import decode_app_id

PROGRAM = "data-market"
PATIENCE_S = 180.0
START_PATIENCE_S = 1200.0
"""
How long programs may take to begin to serve that have not ended [s]: they load for six seconds of a
processor, of which they get what nobody else wants.
"""
MOST_ENDS = 3
"""How often a program may end before it serves; it is started again."""
POLL_S = 0.2
REMOVE_S = 15.0
"""How long a worker may take to end an instance [s]; it kills what does not end in four."""
WORKERS = 2


class WorkerSilent(Unavailable, module="demo", code=4):
    """An instance of the market's app runs, and does not serve."""


class TooFewWorkers(Rejected, module="demo", code=5):
    """The network has fewer workers than must agree."""


@dataclass(frozen=True, slots=True)
class MarketApp:
    """An app of its own on the chain, whose instances run the jobs of one market."""

    project: Project
    signer: Signer
    running: Running
    workers: Workers

    @classmethod
    def create(cls, running: Running, gateway: str, folder: Path) -> "MarketApp":
        """
        Make an app on the chain, whose files and manifest are in a folder; the stake is locked.

        Raises
        ------
        NoWorkers, TooFewWorkers
            The network cannot run it.
        AppRefused, NotMined, GatewaySilent
            The chain did not make it.
        """
        workers = Workers.of(running, [])
        if len(workers.plans) < WORKERS:
            raise TooFewWorkers(
                "two workers must agree, and the network has one: start it with `--workers 2`, or "
                "by containers that of networks/ai.toml"
            )
        directory, program = folder / PROGRAM, find_program(PROGRAM)
        init_project(directory, reset=False, memory_mib=program.memory_mib)
        write_program(directory, program)
        signer = Signer(gateway, None, None)
        create_app(directory, signer, name=None, scheme="cn", network="qanat", paratime="sapphire")
        return cls(Project(directory, None), signer, running, workers)

    @property
    def app_id(self) -> bytes:
        """Id of the app, 21 bytes."""
        return decode_app_id(self.project.app_id)

    def run(self, market: str, progress: Callable[[str], None]) -> Attested:
        """
        Let instances work for a market at an address; gives which code clients are to accept.

        Raises
        ------
        AppRefused, NotMined, NotRunningYet, PeerUnavailable
            See each class.
        """
        gateway = gateway_inside(self.running, self.signer.gateway)
        secrets = {"GATEWAY": gateway.encode(), "MARKET": market.encode()}
        self.project.put_secrets(secrets, self.signer.gateway, force=True)
        built = build(self.project, self.running)
        note_identity(self.project, built)
        self.project.update(self.signer)
        deploy(self.workers, self.app_id, built.bundle, PATIENCE_S, progress)
        return self._attested(built)

    def urls(self) -> list[str]:
        """Wait until every instance says where it serves. Raises `WorkerSilent`, `NotPublished`."""
        deadline, ends = time.monotonic() + START_PATIENCE_S, 0
        while time.monotonic() < deadline and ends <= MOST_ENDS:
            logs = self.workers.each(lambda one: one.fetch_logs(self.app_id))
            found = {name: _served(text) for name, text in logs.items()}
            if all(found.values()):
                return [app_url(self.running, name, port) for name, port in found.items() if port]
            ends = max(map(_ends, fetch_instances(self.workers, self.app_id).values()))
            time.sleep(POLL_S)
        silent = {name: text[-500:].decode(errors="replace") for name, text in logs.items()}
        raise WorkerSilent(f"not every instance serves, the most restless ended {ends}x: {silent}")

    def remove(self) -> None:
        """End the instances and remove the app, whose keys are lost; the stake comes back."""

        async def remove(worker: WorkerApi) -> None:
            try:
                async with asyncio.timeout(REMOVE_S):
                    await worker.remove(self.app_id)
            except TimeoutError:
                raise WorkerSilent(f"an instance does not end within {REMOVE_S:g} s") from None

        self.workers.each(remove)
        self.project.remove(self.signer)

    @contextmanager
    def removed_after(self, progress: Callable[[str], None]) -> Iterator[None]:
        """Remove it after what it was made for, whose error is raised before one of the removal."""
        try:
            yield
        except BaseException:
            progress("ending the instances and removing their app")
            try:
                self.remove()
            except QanatError as error:
                progress(f"the app {self.project.app_id} is still there: {error.message}")
            raise
        self.remove()

    def _attested(self, built: Built) -> Attested:
        genesis = fetch_genesis(self.running)
        runtime_id = runtime_id_of(self.running, self.project)
        report = enclave_report(built.bundle, genesis, runtime_id, fetch_code(self.running))
        return Attested(
            allow_mock=True,
            root_ca=genesis.registry.tee_root_ca,
            measurements=frozenset({report.mr_td.hex()}),
        )


def _ends(instance: InstanceStatus | None) -> int:
    """How often the program of an instance has ended."""
    return 0 if instance is None or instance.app is None else instance.app.restarts


def _served(log: bytes) -> int | None:
    """On which port an instance says last that it serves."""
    port = None
    for line in log.decode(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == SERVING:
            port = int(event["port"])
    return port
