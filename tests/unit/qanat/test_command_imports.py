"""What every command loads before it does anything is time that each of them takes."""

import subprocess
import sys

LATER = ("asyncio", "docker", "fastapi", "httpx", "nacl", "services", "sqlalchemy", "ssl")
"""Only what a command does needs these."""


def test_the_command_line_loads_nothing_that_one_command_alone_needs() -> None:
    program = f"import sys, qanat.cli; print([one for one in {LATER} if one in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
