"""An app's containers: what each waits for, what begins again, and that nothing is left."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from docker.errors import NotFound

from services.worker.enclave.containers import Containers, DependencyFailed, Output
from services.worker.rules.containers import (
    Condition,
    ContainerService,
    Dependency,
    Mount,
    MountKind,
    Restart,
)

PATIENCE_S = 30
WEB = ContainerService("web", "sha256:" + "a" * 64, 64)


@dataclass
class Container:
    """One of the engine's; its runs end with these statuses, and further ones when stopped."""

    engine: "Engine"
    name: str
    statuses: list[int]
    attrs: dict[str, Any] = field(default_factory=lambda: {"State": {}})

    def __post_init__(self) -> None:
        self.is_stopped = threading.Event()
        self.status = 0

    def attach(self, **_: Any) -> Iterator[bytes]:
        def written() -> Iterator[bytes]:
            yield b"half a "
            yield b"line\nrest"
            if self.statuses:
                self.status = self.statuses.pop(0)
            else:
                self.is_stopped.wait(PATIENCE_S)

        return written()

    def start(self) -> None:
        self.engine.started.append(self.name)
        self.engine.on_start()
        self.attrs["State"]["Health"] = {"Status": "healthy"}

    def wait(self) -> dict[str, int]:
        return {"StatusCode": self.status}

    def reload(self) -> None:
        assert self.engine.started

    def stop(self, timeout: int) -> None:
        assert timeout <= 5
        self.is_stopped.set()

    def remove(self, **_: Any) -> None:
        self.is_stopped.set()
        if self not in self.engine.kept:
            raise NotFound("it is gone")
        self.engine.kept.remove(self)


class Named:
    """Containers, networks, volumes or images of the engine."""

    def __init__(self, engine: "Engine", make: Callable[..., Any]) -> None:
        self.engine, self.create = engine, make

    def get(self, name: str) -> str:
        return name

    def list(self, **_: Any) -> list[Any]:
        return list(self.engine.kept) if self is self.engine.containers else []


class Engine:
    """As much of Docker's SDK as an app's containers need."""

    def __init__(self, **statuses: list[int]) -> None:
        self.kept: list[Container] = []
        self.started: list[str] = []
        self.made: list[str] = []
        self.on_start: Callable[[], object] = int
        self.statuses = statuses
        self.images = self.networks = Named(self, lambda *_, **__: None)
        self.volumes = Named(self, lambda name, **_: self.made.append(name))
        self.containers = Named(self, self._make)
        self.api = self

    def create_endpoint_config(self, aliases: list[str]) -> dict[str, list[str]]:
        return {"Aliases": aliases}

    def _make(self, name: str, networking_config: dict[str, Any], **_: Any) -> Container:
        assert networking_config["rofl-x"]["Aliases"] == [name]
        made = Container(self, name, self.statuses.get(name, []))
        self.kept.append(made)
        return made


class Run:
    """One run of services, in a thread."""

    def __init__(self, engine: Engine, *services: ContainerService) -> None:
        self.engine, (self.read, self.write) = engine, os.pipe()
        self.containers = Containers(
            engine, "rofl-x", services, Output(self.write), lambda one: {"name": one.name}
        )

    def to_its_end(self) -> int:
        try:
            return self.containers.run()
        finally:
            os.close(self.write)
            with os.fdopen(self.read, "rb") as file:
                self.text = file.read().decode()
            assert self.engine.kept == []


def test_services_begin_in_order_and_what_they_write_bears_their_name() -> None:
    engine = Engine(web=[0], db=[3])
    web = replace(
        WEB,
        depends_on=(Dependency("db", Condition.STARTED),),
        mounts=(Mount(MountKind.VOLUME, "kept", "/kept"),),
    )
    run = Run(engine, web, replace(WEB, name="db"))
    assert run.to_its_end() == 3
    assert engine.started == ["db", "web"]
    assert engine.made == ["rofl-x_kept"]
    lines = run.text.splitlines()
    assert [one for one in lines if one.startswith("web ")] == ["web | half a line", "web | rest"]
    assert "engine | db ended with status 3\n" in run.text


def test_who_waits_for_the_end_of_another_begins_after_it_and_not_after_a_failure() -> None:
    first = replace(WEB, name="first")
    last = replace(WEB, depends_on=(Dependency("first", Condition.COMPLETED),))
    engine = Engine(web=[0], first=[0])
    assert Run(engine, last, first).to_its_end() == 0
    assert engine.started == ["first", "web"]
    engine = Engine(web=[0], first=[1])
    with pytest.raises(DependencyFailed, match="first"):
        Run(engine, last, first).to_its_end()
    assert engine.started == ["first"]


def test_a_container_begins_again_as_its_service_says() -> None:
    always = replace(WEB, name="always", restart=Restart.ON_FAILURE)
    engine = Engine(web=[1], always=[2, 1, 0])
    assert Run(engine, WEB, always).to_its_end() == 1
    assert sorted(engine.started) == ["always", "always", "always", "web"]


def test_all_end_when_they_are_told_to() -> None:
    engine = Engine(first=[0])
    always = replace(WEB, name="first", restart=Restart.ALWAYS)
    run = Run(engine, WEB, always)
    engine.on_start = lambda: run.containers.end() if "web" in engine.started else None
    run.to_its_end()
    assert "web" in engine.started
