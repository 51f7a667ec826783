"""`qanat view` as a user starts it, beside a network."""

import re
import signal
import subprocess
import sys
import threading

from tests.support.networks import ROOT, RunningNetwork, wait_for

COMMAND = (sys.executable, "-m", "qanat", "view", "--port", "0", "--log")


class RunningView:
    """A running `qanat view`: where it listens, and what it prints."""

    def __init__(self, network: RunningNetwork, *options: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *network.cli_options(), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: self.url is not None, 60, "`qanat view` says where it listens")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip())

    @property
    def url(self) -> str | None:
        found = re.search(r"localhost:(\d+)", self.lines[0]) if self.lines else None
        return found and f"http://localhost:{found.group(1)}"

    def close(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=20)
        self._reader.join(timeout=20)
        return code
