"""
What an enclave process gives up before it sees a secret.

A mock cannot stop root; it can stop everybody else from reading its memory, and itself from being
used to talk to the world. Linux only: not dumpable, no core file, no new privileges, and a system
call filter that refuses the network, looking into other processes, and starting programs.
"""

import ctypes
import resource
import struct
import sys
from pathlib import Path

from shared.errors import Rejected

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_TSYNC = 1

SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_KILL_PROCESS = 0x80000000
EPERM = 1

LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF instructions on a 32-bit word. Source: linux include/uapi/linux/bpf_common.h."""
OFFSET_NUMBER, OFFSET_ARCH = 0, 4
"""Fields of `struct seccomp_data`. Source: linux include/uapi/linux/seccomp.h."""
X32_BIT = 0x40000000
"""System calls of the x32 ABI, by which a filter of x86-64 numbers could be passed by."""

X86_64, AARCH64 = "x86_64", "aarch64"
AUDIT_ARCH = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
SECCOMP = {X86_64: 317, AARCH64: 277}

REFUSED: dict[str, tuple[int, int]] = {
    # The network. Inherited sockets go on working: they need none of these.
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other processes, and this one from outside.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    # Other programs and other views of the machine.
    "execve": (59, 221),
    "execveat": (322, 281),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
"""Name: number on x86-64, number on arm64. Source: linux syscall_64.tbl, asm-generic/unistd.h."""


class CannotConfine(Rejected, module="tee", code=2):
    """The system does not let the enclave protect itself; it must not go on."""


def confine(keeps: frozenset[str] = frozenset()) -> None:
    """
    Give up what an enclave does not need, for ever. Call before the first secret arrives.

    `keeps` are names of `REFUSED` that this kind of enclave needs all the same.

    Raises
    ------
    CannotConfine
        Not Linux on x86-64 or arm64, a step was refused, or a debugger is attached already.
    """
    if sys.platform != "linux":
        raise CannotConfine("the mock TEE runs on Linux only; use the container image elsewhere")
    if tracer := _tracer():
        raise CannotConfine(f"process {tracer} traces this enclave")
    libc = _libc()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    machine = _machine(libc)
    program = build_filter(machine, keeps)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count, padding, a pointer.
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    # All threads: a library may have started some while it was imported.
    result = libc.syscall(
        SECCOMP[machine], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, described
    )
    _check(result, "seccomp")


def build_filter(machine: str, keeps: frozenset[str] = frozenset()) -> bytes:
    """
    Assemble the BPF program for a machine: 8 bytes an instruction.

    A call from another ABI ends the process; a refused call fails with EPERM, so that the library
    that made it says what it wanted.
    """
    column = (X86_64, AARCH64).index(machine)
    numbers = sorted(entry[column] for name, entry in REFUSED.items() if name not in keeps)
    code: list[tuple[int, int, int, int]] = [
        (LOAD_WORD, 0, 0, OFFSET_ARCH),
        (JUMP_IF_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, SECCOMP_RET_KILL_PROCESS),
        (LOAD_WORD, 0, 0, OFFSET_NUMBER),
        (JUMP_IF_AT_LEAST, len(numbers) + 1, 0, X32_BIT),
    ]
    for index, number in enumerate(numbers):
        code.append((JUMP_IF_EQUAL, len(numbers) - index, 0, number))
    code.append((RETURN, 0, 0, SECCOMP_RET_ALLOW))
    code.append((RETURN, 0, 0, SECCOMP_RET_ERRNO | EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    # Both are variadic and want whole registers, which plain integers would not fill.
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p]
    libc.syscall.restype = ctypes.c_long
    return libc


def _machine(libc: ctypes.CDLL) -> str:
    # struct utsname: six fields of 65 characters; `machine` is the fifth.
    buffer = ctypes.create_string_buffer(6 * 65)
    _check(libc.uname(buffer), "uname")
    machine = buffer.raw[4 * 65 : 5 * 65].split(b"\x00")[0].decode()
    if machine not in AUDIT_ARCH:
        raise CannotConfine(f"no system call filter is written for {machine!r}")
    return machine


def _tracer() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    return 0


def _check(result: int, step: str) -> None:
    if result != 0:
        raise CannotConfine(f"{step} failed with errno {ctypes.get_errno()}")
