"""
The containers of an app: started in order, watched, and removed with the process that runs this.

It is what the supervisor runs in the place of a program; its output is what the containers write.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from services.worker.enclave.engine import (
    clear_instance,
    container_options,
    fetch_image,
    labels_of,
    volume_name,
)
from services.worker.rules.container_checks import order_of
from services.worker.rules.containers import (
    Condition,
    ContainerService,
    Dependency,
    MountKind,
    Restart,
)
from shared.errors import Rejected

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
STEADY_S = 10.0
"""A container that ran this long ended for a new reason: its pause starts small again [s]."""
POLL_S = 0.2
"""Between two looks at a container's health [s]."""
MAX_LINE_BYTES = 16 * 1024


class DependencyFailed(Rejected, module="worker", code=10):
    """A service that another one waits for has failed."""


class Output:
    """Writes what containers say, line by line, each with the name of its service."""

    def __init__(self, file: int) -> None:
        self._file, self._lock = file, threading.Lock()

    def say(self, name: str, text: str) -> None:
        """Write a line of our own."""
        self.write(name, text.encode(errors="replace"))

    def write(self, name: str, line: bytes) -> None:
        """Write a line, whole."""
        remaining = name.encode() + b" | " + line + b"\n"
        with self._lock:
            while remaining:
                remaining = remaining[os.write(self._file, remaining) :]

    def copy(self, name: str, stream: Any) -> None:
        """Write a container's output until it ends."""
        pending = b""
        for part in stream:
            *lines, pending = (pending + part).split(b"\n")
            for line in lines:
                self.write(name, line)
            if len(pending) > MAX_LINE_BYTES:
                self.write(name, pending)
                pending = b""
        if pending:
            self.write(name, pending)


class Containers:
    """One run of an app's containers."""

    def __init__(
        self,
        engine: Any,
        project: str,
        services: Sequence[ContainerService],
        output: Output,
        options_of: Callable[[ContainerService], Mapping[str, Any]],
    ) -> None:
        """`options_of` says how a service's container is made (`container_options`)."""
        self._engine, self._project, self._output = engine, project, output
        self._services, self._options_of = order_of(services), options_of
        self._containers: dict[str, Any] = {}
        self._has_begun = {one.name: threading.Event() for one in services}
        self._ended: dict[str, int] = {}
        self._woken, self._is_ending = threading.Event(), threading.Event()

    def end(self) -> None:
        """Have `run` return soon; may be called by a signal's handler."""
        self._is_ending.set()
        self._woken.set()

    def run(self) -> int:
        """
        Run until all have ended, or `end` is called; give the greatest exit status.

        Nothing is left but the volumes. What the engine or a dependency refuses is raised.
        """
        clear_instance(self._engine, self._project)
        try:
            self._create()
            with ThreadPoolExecutor(len(self._services)) as threads:
                kept = [threads.submit(self._keep, one) for one in self._services]
                for each in kept:
                    each.add_done_callback(lambda done: self._note_end(done, kept))
                self._woken.wait()
                self._is_ending.set()
                self._stop(threads=len(self._services))
            failures = [error for each in kept if (error := each.exception()) is not None]
        finally:
            clear_instance(self._engine, self._project)
        if failures:
            raise failures[0]
        return max(self._ended.values(), default=0)

    def _create(self) -> None:
        labels = labels_of(self._project)
        for image in dict.fromkeys(one.image for one in self._services):
            self._output.say("engine", f"image {image}")
            fetch_image(self._engine, image)
        self._engine.networks.create(self._project, driver="bridge", labels=labels)
        volumes = {
            mount.source
            for one in self._services
            for mount in one.mounts
            if mount.kind is MountKind.VOLUME
        }
        for name in sorted(volumes):
            self._engine.volumes.create(volume_name(self._project, name), labels=labels)
        for one in self._services:
            endpoint = self._engine.api.create_endpoint_config(aliases=[one.name])
            self._containers[one.name] = self._engine.containers.create(
                **self._options_of(one),
                network=self._project,
                networking_config={self._project: endpoint},
            )

    def _note_end(self, done: "Future[None]", kept: "list[Future[None]]") -> None:
        if done.exception() is not None or all(one.done() for one in kept):
            self._woken.set()

    # -- one service, in a thread of its own ---------------------------------------------------

    def _keep(self, service: ContainerService) -> None:
        for dependency in service.depends_on:
            self._wait_for(dependency)
        pause_s = FIRST_PAUSE_S
        while not self._is_ending.is_set():
            began_s = time.monotonic()
            status = self._run_once(service)
            if not _starts_again(service.restart, status) or self._is_ending.is_set():
                break
            if time.monotonic() - began_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._is_ending.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._ended.setdefault(service.name, 0)

    def _run_once(self, service: ContainerService) -> int:
        container = self._containers[service.name]
        self._ended.pop(service.name, None)
        # Before it starts: nothing that it writes is missed.
        stream = container.attach(stdout=True, stderr=True, stream=True, logs=False)
        container.start()
        self._has_begun[service.name].set()
        if self._is_ending.is_set():
            # Those that ran were asked to end, and this one may not have.
            container.stop(timeout=0)
        self._output.copy(service.name, stream)
        status = int(container.wait()["StatusCode"])
        self._output.say("engine", f"{service.name} ended with status {status}")
        self._ended[service.name] = status
        return status

    def _wait_for(self, dependency: Dependency) -> None:
        name = dependency.service
        while not self._is_ending.is_set():
            status = self._ended.get(name)
            match dependency.condition:
                case Condition.STARTED:
                    is_met, has_failed = self._has_begun[name].is_set(), False
                case Condition.COMPLETED:
                    is_met, has_failed = status == 0, status not in (None, 0)
                case Condition.HEALTHY:
                    is_met = self._health_of(name) == "healthy"
                    has_failed = status is not None
            if is_met:
                return
            if has_failed:
                raise DependencyFailed(f"service {name!r} is not {dependency.condition.value}")
            self._is_ending.wait(POLL_S)

    def _health_of(self, name: str) -> str:
        container = self._containers[name]
        container.reload()
        return str(container.attrs["State"].get("Health", {}).get("Status", ""))

    def _stop(self, threads: int) -> None:
        """Ask all to end, all at once; whoever does not is killed by the engine."""
        with ThreadPoolExecutor(threads) as stopping:
            for one in self._services:
                container = self._containers[one.name]
                stopping.submit(container.stop, timeout=one.stop_s)


def _starts_again(restart: Restart, status: int) -> bool:
    return restart is Restart.ALWAYS or (restart is Restart.ON_FAILURE and status != 0)


def options_for(
    project: str, directory: Path, socket: Path, variables: Mapping[str, str]
) -> Callable[[ContainerService], Mapping[str, Any]]:
    """Say how containers of one instance are made."""
    return lambda one: container_options(one, project, directory, socket, variables)
