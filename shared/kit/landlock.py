"""
Landlock: a process gives up files for ever, and with them looking into or signalling others.

Without any privilege; where the kernel has none, nothing stands. Source: Linux
Documentation/userspace-api/landlock.rst.
"""

import ctypes
import enum
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, the same on every architecture. Source: linux asm-generic/unistd.h."""
ASK_VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REST_OF_V1 = 0x1FFF & ~(EXECUTE | WRITE_FILE | READ_FILE | READ_DIR)
"""Making and removing files of every kind."""
REFER, TRUNCATE = 1 << 13, 1 << 14
SCOPE_SIGNAL = 1 << 1
"""Rights and scopes. Source: linux include/uapi/linux/landlock.h."""
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""Rights that a rule about a single file may name."""
READING = EXECUTE | READ_FILE | READ_DIR

ABSENT = "absent"


class Reach(enum.Enum):
    """What a process keeps of a file or directory, with all below it."""

    READ = "read"
    """Reading, listing and running."""
    WRITE = "write"
    """The same, and changing, making and removing."""


def restrict(kept: Sequence[tuple[Path, Reach]]) -> str:
    """
    Give up all files but these, for ever.

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
    libc = _libc()
    version = _version(libc)
    if version < 1:
        return ABSENT
    rights = _rights(version)
    ruleset = _create_ruleset(libc, version, rights)
    try:
        for path, reach in kept:
            _allow(libc, ruleset, path, rights if reach is Reach.WRITE else rights & READING)
        _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
        _check(libc.syscall(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)), "restrict")
    finally:
        os.close(ruleset)
    return f"landlock {version}"


def is_available() -> bool:
    """Say whether this kernel can put up the wall."""
    return _version(_libc()) >= 1


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _version(libc: ctypes.CDLL) -> int:
    if sys.platform != "linux":
        return 0
    nothing, none = ctypes.c_void_p(None), ctypes.c_size_t(0)
    version: int = libc.syscall(CREATE_RULESET, nothing, none, ctypes.c_uint(ASK_VERSION))
    return version


def _rights(version: int) -> int:
    rights = READING | WRITE_FILE | REST_OF_V1
    if version >= 2:
        rights |= REFER
    if version >= 3:
        rights |= TRUNCATE
    return rights


def _create_ruleset(libc: ctypes.CDLL, version: int, rights: int) -> int:
    # struct landlock_ruleset_attr: files, network, scopes; older kernels know its beginning.
    fields = (rights, 0, SCOPE_SIGNAL) if version >= 6 else (rights,)
    attributes = (ctypes.c_uint64 * len(fields))(*fields)
    ruleset: int = libc.syscall(
        CREATE_RULESET,
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
        ctypes.c_uint(0),
    )
    _check(min(ruleset, 0), "create a ruleset")
    return ruleset


class _PathBeneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # It is gone, or out of reach anyway.
        return
    try:
        if not path.is_dir():
            rights &= OF_FILES
        rule = _PathBeneath(rights, parent)
        result = libc.syscall(
            ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint(0),
        )
        _check(result, f"allow {path}")
    finally:
        os.close(parent)


def _check(result: int, step: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: cannot {step}: {os.strerror(error)}")
