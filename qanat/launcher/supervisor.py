"""All nodes of a network, or one of them in a container, under one supervisor."""

import asyncio
import fcntl
import os
from pathlib import Path

import structlog

from qanat import cpu
from qanat.fork_spawn import ForkServer
from qanat.forks import Forks
from qanat.launcher.control import LauncherControl, serve_control
from qanat.launcher.environment import RunOptions
from qanat.launcher.log_rotation import rotate_logs
from qanat.launcher.node import BadStart, NodeSupervisor
from qanat.launcher.state import AlreadyRunning, LauncherState, save_state
from qanat.layout import DataLayout
from qanat.network import Network, NodePlan
from shared.errors import Rejected
from shared.kit.dev_controls import load_dev_token

log = structlog.get_logger()


class NodeCannotStart(Rejected, module="launcher", code=2):
    """A node said that it cannot start at all; the network was stopped."""


class Supervisor:
    """Runs nodes until cancelled; writes `launcher.json` at every change."""

    def __init__(
        self,
        network: Network,
        plans: tuple[NodePlan, ...],
        layout: DataLayout,
        options: RunOptions,
        *,
        network_file: Path,
        port_base: int,
        only: str | None = None,
        hosts: ForkServer | None = None,
    ) -> None:
        """
        Make a supervisor.

        `only` names the one node that runs here, in a container. With `hosts`, which has loaded
        them, hosts and enclaves are forked; closed at the end.
        """
        self._layout, self._network_file, self._port_base = layout, network_file, port_base
        self._log_mib = options.log_mib if options.logs_to_files else 0
        self._host_forks = None if hosts is None else Forks(hosts)
        self._enclave_forks = None if hosts is None else cpu.EnclaveForks()
        self._nodes = {
            plan.name: NodeSupervisor(
                network,
                plans,
                plan,
                layout,
                options,
                self._save,
                host_forks=self._host_forks,
                enclave_forks=self._enclave_forks,
            )
            for plan in plans
            if only is None or plan.name == only
        }

    async def run(self) -> None:
        """
        Run until cancelled.

        Raises
        ------
        AlreadyRunning
            Another launcher holds the directory.
        NodeCannotStart
            A node gave up; everything else was stopped.
        """
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        with self._layout.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"a network already runs on {self._layout.root}") from None
            self._save()
            try:
                async with (
                    await serve_control(
                        self._layout,
                        LauncherControl(self._nodes, load_dev_token(self._layout.root)),
                    ),
                    asyncio.TaskGroup() as group,
                ):
                    for node in self._nodes.values():
                        group.create_task(node.run())
                    group.create_task(rotate_logs(self._layout.logs, self._log_mib))
            except* BadStart as group_error:
                reasons = "; ".join(str(error) for error in group_error.exceptions)
                raise NodeCannotStart(reasons) from None
            finally:
                self._layout.control_socket.unlink(missing_ok=True)
                self._layout.launcher_state.unlink(missing_ok=True)
                self._close_forks()

    def _fork_servers(self) -> tuple[int, ...]:
        if self._host_forks is None or self._enclave_forks is None:
            return ()
        return (self._host_forks.pid, *self._enclave_forks.pids)

    def _close_forks(self) -> None:
        if self._host_forks is not None and self._enclave_forks is not None:
            self._host_forks.close()
            self._enclave_forks.close()

    def _save(self) -> None:
        records = tuple(record for node in self._nodes.values() for record in node.records())
        save_state(
            self._layout,
            LauncherState(
                os.getpid(),
                str(self._network_file),
                self._port_base,
                records,
                self._fork_servers(),
            ),
        )
