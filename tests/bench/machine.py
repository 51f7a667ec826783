"""What the numbers were taken on, and what processes cost."""

import datetime as dt
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.support.networks import ROOT

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FIXED_WORK = 150_000
"""Turns of the loop that tells a machine's speed; some 15 ms."""
WALKED = [(str(number), number) for number in range(20_000)]
"""Some 2 MiB of objects: about what a process of a network touches when it wakes."""
PAUSE_S = 0.1


def facts() -> dict[str, str | int | float]:
    """What a number depends on beside the code: processor, cores, memory, load, commit."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": commit or "unknown",
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def fixed_work_ms() -> float:
    """
    Time a piece of work that is always the same [ms].

    A virtual machine's speed changes with its neighbours by half, which no load average shows.
    """
    began = time.perf_counter()
    total = 0
    for number in range(FIXED_WORK):
        total += hash((number, total))
    return 1000 * (time.perf_counter() - began)


def cold_factor() -> float:
    """
    How many times as long a process takes for the same after a pause as at once.

    Whoever shares the machine's caches uses them meanwhile. A process that is always at work does
    not feel it; one that wakes for a moment, as each of a network's does for a transaction, does.
    """
    warm = min(_walk_s() for _ in range(5))
    time.sleep(PAUSE_S)
    return _walk_s() / warm


def _walk_s() -> float:
    began, total = time.perf_counter(), 0
    for text, number in WALKED:
        total += len(text) + number
    return time.perf_counter() - began


def descendants(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def resident_mib(pids: Sequence[int]) -> float:
    """Sum of proportional set sizes [MiB]: shared pages count once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def cpu_ms_of(code: str) -> float:
    """Processor time of an interpreter that runs some code of this project [ms]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def packages_mib(lock_file: Path) -> float:
    """Size on the disk of the installed packages that a lock file names [MiB]."""
    total = 0
    for line in lock_file.read_text().splitlines():
        name, pinned, _ = line.partition("==")
        if not pinned or name.startswith((" ", "#")):
            continue
        try:
            files = metadata.files(name.partition("[")[0])
        except metadata.PackageNotFoundError:
            # Of another platform.
            continue
        paths = (Path(str(file.locate())) for file in files or ())
        total += sum(path.stat().st_size for path in paths if path.exists())
    return total / 2**20


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that processes have used [s]."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def idle_cpu_percent(pids: Sequence[int], seconds: float) -> float:
    """Share of one core that processes use while nobody asks them for anything [%]."""
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return 100 * (cpu_seconds(pids) - before) / seconds
