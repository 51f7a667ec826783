"""
Containers of apps, removed with the enclave that they belong to, whatever ended that.

The app's own process removes them when it can. It cannot when it was killed, and nobody else looks
after them: so the launcher does, as the machine under a trust domain takes back what was in it.
"""

import fcntl
import time
from contextlib import closing
from pathlib import Path

import structlog

from qanat.provision.removal import CONTAINER_MARKS
from services.worker.enclave.app import LOCK, directory_of_app
from services.worker.enclave.engine import clear_instance, connect
from services.worker.rules.containers import project_name
from shared.errors import QanatError

log = structlog.get_logger()

MARK = "containers"
"""File of an enclave's directory that says that its app has containers."""
PATIENCE_S = 12.0
"""How long containers may take to end by themselves [s]; longer than their supervisor waits."""
POLL_S = 0.05


def mark_containers(enclave_dir: Path) -> None:
    """Note that the app of an enclave has containers, before it can have any."""
    enclave_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (enclave_dir / MARK).touch()


def clear_containers(enclave_dir: Path, *, forgets: bool = False) -> None:
    """
    Remove what an app's containers left in the engine, once their supervisor has ended.

    Parameters
    ----------
    enclave_dir : `Path`
        Of an enclave that has ended.
    forgets : `bool`
        Whether what they keep, in volumes, is removed as well.
    """
    if not (enclave_dir / MARK).exists():
        return
    directory = directory_of_app(enclave_dir.resolve())
    _wait_for_supervisor(directory / LOCK)
    from docker.errors import DockerException

    try:
        with closing(connect()) as engine:
            clear_instance(engine, project_name(str(directory)), forgets=forgets)
    except (DockerException, OSError, QanatError) as error:
        # Without an engine there are no containers either; the next start tries again.
        log.warning("containers_not_removed", directory=str(directory), reason=str(error))


def forget_containers(data: Path) -> None:
    """Remove from the engine what apps of a network keep there: its data directory goes."""
    for mark in sorted(data.glob(CONTAINER_MARKS)):
        clear_containers(mark.parent, forgets=True)


def _wait_for_supervisor(lock: Path) -> None:
    try:
        file = lock.open()
    except OSError:
        return
    until_s = time.monotonic() + PATIENCE_S
    with file:
        while time.monotonic() < until_s:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(POLL_S)
            else:
                return
