"""
The wall around a host process: no secret of the mock CPU, no enclave but by its socket.

Host and enclave of a node run under one user, so file modes cannot keep them apart. Landlock can,
without any privilege: a process gives up files for ever, and with them the right to look into or to
signal processes outside. The launcher puts the wall up before the first line of a host's code runs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.kit.landlock import ABSENT as ABSENT
from shared.kit.landlock import Reach, restrict
from shared.kit.landlock import is_available as is_available


def put_up_wall(
    data: Path, *, writable: Sequence[Path], readable: Path, around: Sequence[Path] | None = None
) -> str:
    """
    Shut this process out of a network's data directory, but for its own part, for ever.

    Parameters
    ----------
    data : `Path`
        The data directory of the network; nothing else on the machine is affected.
    writable, readable : `Path`
        Parts of it that the host keeps: its own directory, and what is public.
    around : `Sequence`, optional
        `surroundings` of the data directory, where another wall stands already and keeps this
        process from listing them.

    Returns
    -------
    wall : `str`
        What stands now: `landlock N`, of the kernel's version N, or `absent` where the kernel has
        none. Where it stands, processes outside can be neither traced nor, from version 6 on,
        signalled.

    Raises
    ------
    OSError
        The kernel has Landlock, and a step failed.
    """
    outside = surroundings(data) if around is None else around
    return restrict(
        [
            *((path, Reach.WRITE) for path in (*outside, *writable)),
            (readable, Reach.READ),
        ]
    )


def surroundings(data: Path) -> tuple[Path, ...]:
    """Give directories and files beside the way that leads down to the data directory."""
    return tuple(_everything_but(data.resolve()))


def _everything_but(data: Path) -> Iterator[Path]:
    for directory in data.parents:
        on_the_way = next(part for part in (data, *data.parents) if part.parent == directory)
        for path in directory.iterdir():
            if path != on_the_way and not path.is_symlink():
                yield path
