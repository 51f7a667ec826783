"""Whether memory goes back to the system, seen from processes of their own."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc"
)

LARGE = """
{setup}
bytearray(24 << 20)
before = resident_kib()
filled = bytearray(b"x") * (16 << 20)
del filled
print(resident_kib() - before)
"""
SMALL = """
pieces = [bytearray(b"x" * 1000) for _ in range(40_000)]
kept = pieces[::400]
del pieces
before = resident_kib()
{setup}
print(resident_kib() - before)
"""
RESIDENT = """
from shared.tee.memory import free_at_once, give_back
def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
"""


def grown_kib(program: str, setup: str) -> int:
    code = RESIDENT + program.format(setup=setup)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_large_buffer_goes_back_when_it_is_freed():
    assert grown_kib(LARGE, "") > 8_000, "the test shows nothing where it goes back anyway"
    assert grown_kib(LARGE, "free_at_once()") < 2_000


def test_what_small_pieces_left_goes_back_when_it_is_asked_for():
    assert grown_kib(SMALL, "give_back()") < -20_000
