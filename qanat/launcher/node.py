"""One node under supervision: its host process, and an enclave for each runtime that it serves."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from qanat import cpu
from qanat.forks import Forks, ForkServerGone, RunningProcess
from qanat.launcher.environment import RunOptions, enclave_seed, host_environment
from qanat.launcher.host_server import SERVICE
from qanat.launcher.instances import Instances
from qanat.launcher.state import ProcessRecord
from qanat.layout import DataLayout
from qanat.network import WORKER, Network, NodePlan

log = structlog.get_logger()

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 10.0
"""A process that ran this long died of something new: its pause starts small again [s]."""
STOP_TIMEOUT_S = 5.0
"""How long a process may take to stop before it is killed [s]."""
SOCKETS_OF = {"compute": "QANAT_ENCLAVE_FDS", "worker": "QANAT_INSTANCES_FD"}
"""Variable by which a service's host is told its sockets, where it is not the usual one."""
EXIT_BAD_START = 2
"""Status by which a process says that trying again is of no use."""


class BadStart(Exception):
    """A process said that it cannot start at all."""


class NodeSupervisor:
    """Keeps a node alive. Host and enclaves live and die together, as on one machine."""

    def __init__(
        self,
        network: Network,
        plans: tuple[NodePlan, ...],
        plan: NodePlan,
        layout: DataLayout,
        options: RunOptions,
        on_change: Callable[[], None],
        *,
        host_forks: Forks | None = None,
        enclave_forks: cpu.EnclaveForks | None = None,
    ) -> None:
        """Without fork servers each process is started by itself."""
        self.plan = plan
        self._network, self._plans, self._layout, self._options = network, plans, layout, options
        self._on_change = on_change
        self._host_forks, self._enclave_forks = host_forks, enclave_forks
        self._host: RunningProcess | None = None
        self._enclaves: dict[str, cpu.EnclaveProcess] = {}
        self._instances: Instances | None = None
        """Enclaves of apps, of a worker that runs."""
        self._state = "starting"
        self._restarts = 0
        self._has_served = False
        self._is_wanted, self._is_unwanted = asyncio.Event(), asyncio.Event()
        self._is_wanted.set()
        self._is_down = asyncio.Event()

    def records(self) -> tuple[ProcessRecord, ...]:
        """Describe the node's processes."""
        paratimes = self.plan.paratimes
        host = ProcessRecord(
            name=self.plan.name,
            service=self.plan.service,
            part="host",
            pid=None if self._host is None else self._host.pid,
            container=None,
            ports=self.plan.ports,
            data_dir=str(self._layout.host(self.plan.name)),
            state=self._state,
            restarts=self._restarts,
            paratime=",".join(paratimes) or None,
        )
        if self._instances is not None:
            return (host, *self._instance_records(host, self._instances))
        if not self.plan.has_enclave:
            return (host,)
        enclaves = (
            replace(
                host,
                part="enclave",
                pid=self._enclaves[runtime].pid if runtime in self._enclaves else None,
                ports=(),
                data_dir=str(self._layout.enclave(self.plan.name, runtime)),
                paratime=runtime if runtime in paratimes else None,
            )
            for runtime in self.plan.runtimes
        )
        return (host, *enclaves)

    def _instance_records(
        self, host: ProcessRecord, instances: Instances
    ) -> Iterator[ProcessRecord]:
        for name, enclave in instances.running.items():
            directory = str(self._layout.enclave(self.plan.name, name))
            yield replace(host, part="enclave", pid=enclave.pid, ports=(), data_dir=directory)

    async def run(self) -> None:
        """
        Start the node and restart it whenever it dies, until cancelled.

        Raises
        ------
        BadStart
            A process said, before the node ever served, that trying again is of no use. Later that
            is the trouble of one node, and the others go on.
        """
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            await self._is_wanted.wait()
            began = loop.time()
            try:
                part, status = await self._run_once()
            finally:
                await self._stop_processes()
            if not self._is_wanted.is_set():
                continue
            if loop.time() - began > STEADY_S:
                pause_s, self._has_served = FIRST_PAUSE_S, True
            if status == EXIT_BAD_START and not self._has_served:
                path = self._layout.log_of(self.plan.name, part)
                raise BadStart(f"{self.plan.name} cannot start; see {path}")
            self._restarts += 1
            self._set_state("restarting")
            log.warning(
                "process_died", node=self.plan.name, part=part, status=status, restart_in_s=pause_s
            )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    # -- what the control plane asks ------------------------------------------------------------

    def pause(self) -> None:
        """Stop the clock of the node's processes."""
        self._signal(signal.SIGSTOP)
        self._set_state("paused")

    def resume(self) -> None:
        """Let the node's processes go on."""
        self._signal(signal.SIGCONT)
        if self._state == "paused":
            self._set_state("running")

    async def stop(self) -> None:
        """End the node's processes; returns when they have ended, and they stay so."""
        self._is_wanted.clear()
        self._is_unwanted.set()
        await self._is_down.wait()

    def start(self) -> None:
        """Start the node again, after it was stopped."""
        self._is_unwanted.clear()
        self._is_wanted.set()

    def _signal(self, number: signal.Signals) -> None:
        pids = [record.pid for record in self.records() if record.pid is not None]
        for pid in pids:
            # It may end at this moment; then the supervision sees that by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def _run_once(self) -> tuple[str, int]:
        environment = host_environment(
            self._network, self._plans, self.plan, self._layout, self._options
        )
        waits: dict[str, asyncio.Task[Any]] = {}
        self._is_down.clear()
        with contextlib.ExitStack() as sockets:
            inherited: list[int] = []
            for runtime in self.plan.runtimes if self.plan.has_enclave else ():
                host_end, enclave_end = map(sockets.enter_context, socket.socketpair())
                enclave = await self._start_enclave(runtime, enclave_end)
                self._enclaves[runtime] = enclave
                enclave_end.close()
                inherited.append(host_end.fileno())
                waits[f"enclave-{runtime}"] = asyncio.create_task(enclave.wait())
            name = SOCKETS_OF.get(self.plan.service, "QANAT_ENCLAVE_FD")
            if self.plan.service == WORKER:
                self._instances = Instances(
                    self.plan,
                    self._layout,
                    seed=enclave_seed(self._options),
                    forks=self._enclave_forks,
                    logs_to_files=self._options.logs_to_files,
                    on_change=self._on_change,
                )
                inherited.append(self._instances.host_end.fileno())
            self._host = await _start_host(
                self.plan,
                environment,
                {name: inherited} if inherited else {},
                self._log_path("host"),
                self._host_forks,
            )
        if self._instances is not None:
            self._instances.begin()
        waits["host"] = asyncio.create_task(self._host.wait())
        waits["control"] = asyncio.create_task(self._is_unwanted.wait())
        self._set_state("running")
        try:
            done, _ = await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits.values():
                task.cancel()
        part = next(name for name, task in waits.items() if task in done)
        return part, int(waits[part].result())

    async def _start_enclave(self, runtime: str, enclave_end: socket.socket) -> cpu.EnclaveProcess:
        name = self.plan.name
        return await cpu.start_enclave(
            self.plan.service,
            config_path=self._layout.enclave_config(name, runtime),
            platform=cpu.PlatformFile.from_bytes(self._layout.platform(name).read_bytes()),
            enclave_dir=self._layout.enclave(name, runtime),
            host_socket=enclave_end,
            log_path=self._log_path(f"enclave-{runtime}"),
            seed=enclave_seed(self._options),
            forks=self._enclave_forks,
        )

    def _log_path(self, part: str) -> Path | None:
        return self._layout.log_of(self.plan.name, part) if self._options.logs_to_files else None

    async def _stop_processes(self) -> None:
        host, enclaves = self._host, self._enclaves
        # Who is paused does not hear that it should end.
        self._signal(signal.SIGCONT)
        if host is not None and host.returncode is None:
            host.terminate()
            try:
                await asyncio.wait_for(host.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                log.warning("process_killed", node=self.plan.name, part="host")
                host.kill()
                await host.wait()
        await asyncio.gather(*(enclave.stop() for enclave in enclaves.values()))
        if self._instances is not None:
            await self._instances.close()
            self._instances = None
        self._host, self._enclaves = None, {}
        self._set_state("stopped")
        self._is_down.set()

    def _set_state(self, state: str) -> None:
        self._state = state
        self._on_change()


async def _start_host(
    plan: NodePlan,
    environment: dict[str, str],
    files: dict[str, list[int]],
    log_path: Path | None,
    forks: Forks | None,
) -> RunningProcess:
    if forks is not None:
        try:
            return await forks.start(
                environment | {SERVICE: plan.host_module},
                command=(sys.executable, "-m", plan.host_module, plan.name),
                files=files,
                output=log_path,
            )
        except ForkServerGone as error:
            if not forks.has_forked:
                # What it was to load is broken: its log says it once, and for all hosts.
                raise
            log.warning("fork_server_lost", node=plan.name, reason=error.message)
    numbers = {name: ",".join(map(str, listed)) for name, listed in files.items()}
    with contextlib.nullcontext() if log_path is None else log_path.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "qanat.launcher.host_process",
            plan.host_module,
            env=environment | numbers,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[number for listed in files.values() for number in listed],
            # Ctrl-C reaches the launcher alone, which then stops its nodes in order.
            start_new_session=True,
        )
