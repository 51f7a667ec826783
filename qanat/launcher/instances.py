"""The enclaves of a worker's apps: the launcher starts them as the worker's host asks."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from qanat import cpu
from qanat.launcher.leftovers import clear_containers, mark_containers
from qanat.layout import DataLayout
from qanat.network import NodePlan
from services.worker.enclave.app import APP_HOST, APP_PORTS
from services.worker.enclave.engine import ENGINE
from services.worker.rules.bundle import MAX_BUNDLE_BYTES, decode_bundle
from shared.errors import QanatError, Rejected
from shared.kit import instance_socket
from shared.kit.instance_socket import MAX_INSTANCES, InstanceEnded, StartInstance, StopInstance

log = structlog.get_logger()

APPD_PORT = "QANAT_APPD_PORT"
"""Tells the enclave the loopback port of its app daemon; 0 where it has none."""
DATA_ROOT = "QANAT_DATA_ROOT"
"""Tells it from what its app is to be kept."""
PASSED_ON = (ENGINE, APP_HOST, APP_PORTS)
"""Variables of the launcher that enclaves of workers have as well."""

CLOSE_TIMEOUT_S = 15.0
"""How long containers of enclaves that have ended may take to be removed [s]."""


class TooManyInstances(Rejected, module="instances", code=2):
    """The worker runs as many enclaves as it may, or has one of this name."""


class Instances:
    """
    The enclaves that one run of a worker's host asked for.

    The host is not trusted: it says which bundle is to run, and the CPU measures what it got.
    """

    def __init__(
        self,
        plan: NodePlan,
        layout: DataLayout,
        *,
        seed: str | None,
        forks: cpu.EnclaveForks | None,
        logs_to_files: bool,
        on_change: Callable[[], None],
    ) -> None:
        self._plan, self._layout = plan, layout
        self._seed, self._forks, self._logs_to_files = seed, forks, logs_to_files
        self._on_change = on_change
        self._socket, self.host_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._starting: set[str] = set()
        self._unwanted: set[str] = set()
        """Those of them that are to end as soon as they run."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.running: dict[str, cpu.EnclaveProcess] = {}
        """By name of the instance."""

    def begin(self) -> None:
        """Listen to the host, which has its end by now."""
        self.host_end.close()
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    async def close(self) -> None:
        """End all enclaves, with what is theirs; the host is gone."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.host_end.close()
        self._unwanted |= self._starting
        await asyncio.gather(*(enclave.stop() for enclave in self.running.values()))
        if self._tasks:
            # They see the end of their enclaves, and remove containers.
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(enclave.stop() for enclave in self.running.values()))
        self.running.clear()

    def _read(self) -> None:
        try:
            received = instance_socket.receive(self._socket)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, Rejected) as error:
            log.warning("instance_message_refused", node=self._plan.name, reason=str(error))
            return
        match received:
            case None:
                # The host has ended, which the supervision sees by itself.
                asyncio.get_running_loop().remove_reader(self._socket)
            case StartInstance() as asked, (sock, bundle):
                self._spawn(self._run(asked, socket.socket(fileno=sock), bundle))
            case StopInstance() as asked, _:
                self._spawn(self._stop(asked))
            case _:
                pass

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            log.error("instance_failed_by_a_bug", node=self._plan.name, exc_info=bug)

    async def _run(self, asked: StartInstance, sock: socket.socket, bundle: int) -> None:
        reason = "the launcher met a bug; see its log"
        try:
            with sock, os.fdopen(bundle, "rb") as file:
                enclave = await self._start(asked, sock, file.read(MAX_BUNDLE_BYTES + 1))
            status = await enclave.wait()
            await asyncio.to_thread(clear_containers, self._directory(asked.name))
            reason = f"its enclave ended with status {status}"
        except (QanatError, OSError) as error:
            reason = str(error)
        finally:
            if self.running.pop(asked.name, None) is not None:
                self._on_change()
            log.info("instance_ended", node=self._plan.name, instance=asked.name, reason=reason)
            # Whatever happened, the host waits for this. It may be gone itself.
            with contextlib.suppress(OSError):
                instance_socket.send(self._socket, InstanceEnded(asked.name, reason[:500]))

    async def _stop(self, asked: StopInstance) -> None:
        enclave = self.running.get(asked.name)
        if enclave is not None:
            await enclave.stop()
        elif asked.name in self._starting:
            self._unwanted.add(asked.name)
        if asked.forgets:
            directory = self._directory(asked.name)
            await asyncio.to_thread(clear_containers, directory, forgets=True)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def _directory(self, instance: str) -> Path:
        return self._layout.enclave(self._plan.name, instance)

    async def _start(
        self, asked: StartInstance, sock: socket.socket, bundle: bytes
    ) -> cpu.EnclaveProcess:
        if len(bundle) > MAX_BUNDLE_BYTES:
            raise TooManyInstances(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes")
        name, (paratime,) = self._plan.name, self._plan.runtimes
        if asked.name in self.running or asked.name in self._starting:
            raise TooManyInstances(f"instance {asked.name} runs already")
        if len(self.running) + len(self._starting) >= MAX_INSTANCES:
            raise TooManyInstances(f"a worker runs at most {MAX_INSTANCES} instances")
        self._starting.add(asked.name)
        try:
            if decode_bundle(bundle).manifest.containers is not None:
                mark_containers(self._directory(asked.name))
            # A launcher that was killed has left its own.
            await asyncio.to_thread(clear_containers, self._directory(asked.name))
            enclave = await cpu.start_enclave(
                "worker",
                config_path=self._layout.enclave_config(name, paratime),
                platform=cpu.PlatformFile.from_bytes(self._layout.platform(name).read_bytes()),
                enclave_dir=self._directory(asked.name),
                host_socket=sock,
                log_path=self._log_path(asked.name),
                seed=self._seed,
                forks=self._forks,
                bundle=bundle,
                settings={
                    APPD_PORT: str(asked.appd_port),
                    DATA_ROOT: str(self._layout.root.resolve()),
                }
                | {name: os.environ[name] for name in PASSED_ON if name in os.environ},
            )
            self.running[asked.name] = enclave
            self._on_change()
            if asked.name in self._unwanted:
                await enclave.stop()
        finally:
            self._starting.discard(asked.name)
            self._unwanted.discard(asked.name)
        return enclave

    def _log_path(self, instance: str) -> Path | None:
        if not self._logs_to_files:
            return None
        return self._layout.log_of(self._plan.name, f"enclave-{instance}")
