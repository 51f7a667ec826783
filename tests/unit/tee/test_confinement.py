"""The system call filter, run by a small interpreter of its BPF instructions."""

import struct

import pytest

from shared.tee.confinement import (
    AARCH64,
    AUDIT_ARCH,
    JUMP_IF_AT_LEAST,
    JUMP_IF_EQUAL,
    LOAD_WORD,
    OFFSET_ARCH,
    OFFSET_NUMBER,
    REFUSED,
    RETURN,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS,
    X32_BIT,
    X86_64,
    build_filter,
)

EPERM_ANSWER = SECCOMP_RET_ERRNO | 1


def run(program: bytes, arch: int, number: int) -> int:
    code = list(struct.iter_unpack("=HBBI", program))
    data = {OFFSET_ARCH: arch, OFFSET_NUMBER: number}
    position = accumulator = 0
    while True:
        kind, if_true, if_false, operand = code[position]
        position += 1
        if kind == LOAD_WORD:
            accumulator = data[operand]
        elif kind == JUMP_IF_EQUAL:
            position += if_true if accumulator == operand else if_false
        elif kind == JUMP_IF_AT_LEAST:
            position += if_true if accumulator >= operand else if_false
        else:
            assert kind == RETURN
            return operand


@pytest.mark.parametrize(("column", "machine"), [(0, X86_64), (1, AARCH64)])
def test_exactly_the_listed_calls_are_refused(column, machine):
    program = build_filter(machine)
    refused = {numbers[column] for numbers in REFUSED.values()}
    for number in range(600):
        expected = EPERM_ANSWER if number in refused else SECCOMP_RET_ALLOW
        assert run(program, AUDIT_ARCH[machine], number) == expected


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_calls_of_another_machine_end_the_process(machine):
    program = build_filter(machine)
    i386 = 0x40000003
    assert run(program, i386, 1) == SECCOMP_RET_KILL_PROCESS


def test_no_call_slips_past_by_the_x32_numbers():
    program = build_filter(X86_64)
    assert run(program, AUDIT_ARCH[X86_64], X32_BIT | 41) == EPERM_ANSWER
    assert run(program, AUDIT_ARCH[X86_64], X32_BIT) == EPERM_ANSWER
