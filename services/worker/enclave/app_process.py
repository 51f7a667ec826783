"""From a forked process to an app's program: walled in, limited, and with a new environment."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from services.worker.enclave.app import APP_HOST, APP_PORTS, CODE, DATA, SOCKET_NAME, TEMPORARY
from shared.kit.cpu_share import lower_session
from shared.kit.landlock import Reach, restrict

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
"""Source: Linux include/uapi/linux/prctl.h."""
MAX_FILES = 1024
MAX_SOCKET_PATH = 107
"""Source: Linux sockaddr_un."""
SYSTEM = (
    *("/bin", "/lib", "/lib64", "/proc", "/run/systemd/resolve", "/sbin", "/usr"),
    *("/sys/devices/system/cpu", "/etc/ca-certificates", "/etc/gai.conf", "/etc/host.conf"),
    *("/etc/hosts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf"),
    *("/etc/passwd", "/etc/pki", "/etc/protocols", "/etc/resolv.conf", "/etc/services"),
    *("/etc/ssl", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
)
"""What every program reads."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
CANNOT_START = 126
NICE = 10
"""Of an app's session: a tenth of what a process of the network gets where both want a CPU."""


def become_app(
    directory: Path,
    data_root: Path,
    entry_point: str,
    variables: Mapping[str, str],
    *,
    memory_mib: int,
    output: int,
) -> NoReturn:
    """
    Turn this process into an app's program, for ever.

    It reads the system, the interpreter with its packages, and its own files; it writes to its own
    `data` and `tmp`, and reaches the network as any program. Nothing else of the data directory, of
    a home, or of another process is in its reach.

    Parameters
    ----------
    directory, data_root : `Path`
        The app's own, and the network's.
    entry_point : `str`
        Python file, from the app's directory on.
    variables : `Mapping`
        Secrets of the app, for its environment.
    memory_mib : `int`
        What its data may take [MiB].
    output : `int`
        File for standard output and error.
    """
    try:
        leave_supervisor(signal.SIGKILL, output)
        lower_session(NICE)
        os.chdir(directory)
        limit = memory_mib << 20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        restrict(reach_of(directory, data_root))
        environment = dict(variables) | _environment(directory)
        # -E, -s: no variable and no home changes what is imported; -B: its code is not written to.
        command = (sys.executable, "-E", "-s", "-B", "-u", entry_point)
        os.execve(sys.executable, command, environment)  # noqa: S606 - without a shell
    except BaseException as error:  # noqa: BLE001 - the last words of a process that has no other
        os.write(2, f"the program cannot be started: {error!r}\n".encode())
    os._exit(CANNOT_START)


def leave_supervisor(at_its_end: signal.Signals, output: int) -> None:
    """Be a session of one's own, with its output, and hear of the supervisor's end by a signal."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, at_its_end)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))


def give_up_dumps() -> None:
    """Keep other processes of the same user from reading this one's memory."""
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _environment(directory: Path) -> dict[str, str]:
    socket = directory / SOCKET_NAME
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
        socket = Path("/proc/self/cwd") / SOCKET_NAME
    published = os.environ.get(APP_PORTS)
    return {
        "HOME": str(directory / DATA),
        "LC_ALL": "C.UTF-8",
        "PATH": os.defpath,
        "TMPDIR": str(directory / TEMPORARY),
        "ROFL_APPD_SOCKET": str(socket),
        "DSTACK_SIMULATOR_ENDPOINT": str(socket),
        "APP_HOST": os.environ.get(APP_HOST, "127.0.0.1"),
    } | ({} if published is None else {"APP_PORTS": published})


def reach_of(directory: Path, data_root: Path) -> list[tuple[Path, Reach]]:
    """Give the files that a process of an app keeps."""
    packages = {Path(path) for path in sys.path if path and Path(path).is_absolute()}
    interpreter = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent}
    readable = {
        path
        for path in (*map(Path, SYSTEM), *packages, *interpreter)
        if path.exists() and not _is_within(data_root, path)
    }
    return [
        *((path, Reach.READ) for path in sorted(readable)),
        *((Path(path), Reach.WRITE) for path in DEVICES),
        (directory / CODE, Reach.READ),
        (directory / SOCKET_NAME, Reach.WRITE),
        (directory / DATA, Reach.WRITE),
        (directory / TEMPORARY, Reach.WRITE),
    ]


def _is_within(inner: Path, outer: Path) -> bool:
    """Say whether the network's data lie in a directory that would be let in whole."""
    return inner.resolve().is_relative_to(outer.resolve())


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
