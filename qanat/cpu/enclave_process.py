"""
Starting an enclave: measure it, connect it to its host and its CPU, run it.

The new process gets an environment of four variables, and open files: standard streams, the socket
to its host, the socket to the CPU, and the code that was measured. It is told nothing about its own
measurement; the CPU's answers depend on what was measured here.

Where several enclaves run the same code, one process loads what was measured, and nothing else, and
each enclave is forked from it. Code is measured at each start all the same: a process that loaded
other bytes is not the one that is asked.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qanat.cpu.image import EnclaveImage
from qanat.cpu.platform_file import PlatformFile
from qanat.cpu.platform_server import DomainServer, PlatformServer
from qanat.fork_spawn import spawn_fork_server
from qanat.forks import Forks, RunningProcess
from shared.kit.channel import Channel, adopt_socket
from shared.kit.service import Service
from shared.tee.platform import DomainApi, PlatformApi
from shared.tee.runtime import ENCLAVE_DIR, HOST_FD, PLATFORM_FD
from shared.types.attestation import EnclaveIdentity

STOP_TIMEOUT_S = 2.0
"""How long an enclave may take to end before it is killed [s]; its stores survive either."""
START_COUNTER = "starts"
LOCALE = "C.UTF-8"


@dataclass(frozen=True, slots=True)
class EnclaveUser:
    """User and group under which an enclave runs, apart from its host's. Needs root."""

    uid: int
    gid: int


class EnclaveProcess:
    """A running enclave, with its CPU's side of the socket."""

    def __init__(
        self,
        process: RunningProcess,
        channel: Channel,
        server: PlatformServer,
    ) -> None:
        self._process, self._channel, self._server = process, channel, server
        self.identity: EnclaveIdentity = server.identity

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until the enclave has ended; its exit status, negative for a signal."""
        status = await self._process.wait()
        self._channel.close()
        return status

    async def stop(self) -> None:
        """End the enclave."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
        await self.wait()

    def renew_collateral(self, platform: PlatformFile) -> None:
        """Let the next quotes carry newer collateral of the same platform."""
        self._server.renew_collateral(platform)


class EnclaveForks:
    """Fork servers of enclaves, one for each code that was measured."""

    def __init__(self) -> None:
        self._servers: dict[bytes, Forks] = {}

    def find(self, image: EnclaveImage) -> Forks:
        """Give the server that loaded the bytes of this image; starts it as needed."""
        server = self._servers.get(image.code_hash)
        if server is None or server.is_gone:
            spawned = spawn_fork_server(
                image.arguments(forks=True), {"LC_ALL": LOCALE}, files=image.files
            )
            server = self._servers[image.code_hash] = Forks(spawned)
        return server

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the servers."""
        return tuple(server.pid for server in self._servers.values())

    def close(self) -> None:
        """Let them end, after the enclaves have."""
        for server in self._servers.values():
            server.close()


async def start_enclave(
    service: str,
    *,
    config_path: Path,
    platform: PlatformFile,
    enclave_dir: Path,
    host_socket: socket.socket,
    log_path: Path | None = None,
    seed: str | None = None,
    user: EnclaveUser | None = None,
    root: Path | None = None,
    forks: EnclaveForks | None = None,
    bundle: bytes | None = None,
    settings: Mapping[str, str] | None = None,
) -> EnclaveProcess:
    """
    Measure a service's enclave and start it.

    Parameters
    ----------
    service : `str`
        Whose enclave: `compute`, `keymanager` or `worker`.
    config_path : `Path`
        The encoded `EnclaveConfig`; read once, here.
    platform : `PlatformFile`
        The mock CPU that runs it.
    enclave_dir : `Path`
        Where it keeps sealed blobs and state. Made, and given to `user`, as needed. Its name is
        the last argument of the process, for people that look at processes.
    host_socket : `socket`
        The enclave's end of a pair; the caller closes its copy afterwards.
    log_path : `Path`, optional
        Takes standard output and error, which hold no secrets; None inherits them.
    seed : `str`, optional
        Hex; makes the enclave's chance repeatable, differently at each start.
    user : `EnclaveUser`, optional
        Runs the enclave under another user id; only root may ask for it.
    root : `Path`, optional
        Another directory than this process's own code to measure and run.
    forks : `EnclaveForks`, optional
        Forks it from a process that has loaded the measured code, unless `user` is given.
    bundle : `bytes`, optional
        The app that it is for, measured with it; it is a trust domain then.
    settings : `Mapping`, optional
        Further variables of its environment, which it does not believe.

    Raises
    ------
    NotMeasurable
        Code of the enclave is missing.
    OSError, ForkServerGone
        The process cannot be started, or the log not be opened.
    """
    with EnclaveImage(service, config_path, root=root, bundle=bundle) as image:
        server = _prepare(image, platform, enclave_dir, seed, user)
        cpu_end, enclave_end = socket.socketpair()
        environment = _environment(enclave_dir) | dict(settings or {})
        sockets = {HOST_FD: host_socket.fileno(), PLATFORM_FD: enclave_end.fileno()}
        process: RunningProcess
        with enclave_end:
            if forks is not None and user is None:
                process = await forks.find(image).start(
                    environment,
                    command=(sys.executable, "-m", image.main, enclave_dir.name),
                    files={name: [file] for name, file in sockets.items()},
                    output=log_path,
                )
            else:
                process = await _spawn(
                    (*image.arguments(), enclave_dir.name),
                    image.files,
                    environment | {name: str(file) for name, file in sockets.items()},
                    tuple(sockets.values()),
                    log_path,
                    user,
                )
    answered: list[tuple[type, object]] = [(PlatformApi, server)]
    if isinstance(server, DomainServer):
        answered.append((DomainApi, server))
    channel = await adopt_socket(cpu_end, "the enclave", Service(*answered))
    return EnclaveProcess(process, channel, server)


def _prepare(
    image: EnclaveImage,
    platform: PlatformFile,
    enclave_dir: Path,
    seed: str | None,
    user: EnclaveUser | None,
) -> PlatformServer:
    enclave_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    replay_seed = None if seed is None else bytes.fromhex(seed)
    start = 0 if seed is None else _count_start(enclave_dir)
    server = (
        PlatformServer(platform, image.identity, image.config, replay_seed=replay_seed, start=start)
        if image.bundle is None
        else DomainServer(
            platform,
            image.identity,
            image.config,
            image.bundle,
            replay_seed=replay_seed,
            start=start,
        )
    )
    if user is not None:
        _give(enclave_dir, user)
    return server


def _environment(enclave_dir: Path) -> dict[str, str]:
    """Variables of an enclave, without those that name its sockets."""
    return {"LC_ALL": LOCALE, ENCLAVE_DIR: str(enclave_dir.resolve())}


async def _spawn(
    arguments: tuple[str, ...],
    files: tuple[int, ...],
    environment: dict[str, str],
    inherited: tuple[int, ...],
    log_path: Path | None,
    user: EnclaveUser | None,
) -> asyncio.subprocess.Process:
    command = (sys.executable, *arguments)
    options: dict[str, object] = {}
    if user is not None:
        options = {"user": user.uid, "group": user.gid, "extra_groups": []}
    output = None if log_path is None else log_path.open("ab")
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd="/",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(*inherited, *files),
            start_new_session=True,
            **options,  # type: ignore[arg-type]
        )
    finally:
        if output is not None:
            output.close()


def _count_start(enclave_dir: Path) -> int:
    """Count the starts of an enclave, beside its directory, where only the launcher writes."""
    counter = enclave_dir.with_name(f"{enclave_dir.name}.{START_COUNTER}")
    start = int(counter.read_text()) + 1 if counter.exists() else 0
    counter.write_text(f"{start}\n")
    return start


def _give(directory: Path, user: EnclaveUser) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
