"""From a forked process to what runs an app's containers, and removes them when it ends."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from services.worker.enclave.app import CODE, SOCKET_NAME
from services.worker.enclave.app_process import CANNOT_START, leave_supervisor, reach_of
from services.worker.enclave.containers import Containers, Output, options_for
from services.worker.enclave.engine import connect
from services.worker.rules.containers import ContainerService, project_name
from shared.errors import QanatError
from shared.kit.landlock import restrict

OUTPUT = 1
READABLE, EXECUTABLE, CONNECTABLE = 0o644, 0o755, 0o666


def become_containers(
    directory: Path,
    data_root: Path,
    services: Sequence[ContainerService],
    variables: Mapping[str, str],
    *,
    output: int,
) -> NoReturn:
    """
    Turn this process into the one that runs an app's containers, for ever.

    It ends with status 0 or a container's; SIGTERM, also at its supervisor's end, has it end them.

    Parameters
    ----------
    directory, data_root : `Path`
        The app's own, and the network's.
    services : `Sequence`
        As measured.
    variables : `Mapping`
        Secrets of the app, for the places that name them.
    output : `int`
        File for what containers write.
    """
    status = CANNOT_START
    try:
        supervisor = os.getppid()
        leave_supervisor(signal.SIGTERM, output)
        status = _run(directory, data_root, services, variables, supervisor)
    except BaseException as error:  # noqa: BLE001 - the last words of a process that has no other
        told = (
            error.message if isinstance(error, QanatError) else f"{type(error).__name__}: {error}"
        )
        os.write(2, f"engine | {told}\n".encode(errors="replace"))
    os._exit(status)


def _run(
    directory: Path,
    data_root: Path,
    services: Sequence[ContainerService],
    variables: Mapping[str, str],
    supervisor: int,
) -> int:
    code, socket = directory / CODE, directory / SOCKET_NAME
    _open_to_containers(code, socket)
    restrict(reach_of(directory, data_root))
    project = project_name(str(directory))
    options = options_for(project, code, socket, variables)
    containers = Containers(connect(), project, services, Output(OUTPUT), options)
    signal.signal(signal.SIGTERM, lambda *_: containers.end())
    if os.getppid() != supervisor:
        return 0
    return containers.run()


def _open_to_containers(code: Path, socket: Path) -> None:
    """
    Let users of containers, who are others than the worker's, read the files and ask the daemon.

    Nobody else reaches either: the directory around them is its owner's alone.
    """
    socket.chmod(CONNECTABLE)
    for path in (code, *code.rglob("*")):
        path.chmod(EXECUTABLE if path.is_dir() else READABLE)
