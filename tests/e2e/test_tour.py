"""`docs/tour.md`, as a reader follows it: every command in one shell, and what it prints."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import ROOT, port_base

pytestmark = pytest.mark.long

PORT_BASE = port_base(24545)
SHIFTED = re.compile(r"(?<![0-9])(8[56][0-9]{2})(?![0-9])")
MARK = "==== command"
TIMEOUT_S = 300


def read_steps() -> list[tuple[str, str]]:
    """Commands of the page, each with what is printed."""
    steps: list[tuple[str, str]] = []
    page = (ROOT / "docs" / "tour.md").read_text()
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], ""))
            else:
                command, printed = steps[-1]
                steps[-1] = (command, f"{printed}{line}\n")
    return steps


def elsewhere(text: str) -> str:
    """Move the ports, since another network may have those of the page."""
    return SHIFTED.sub(lambda port: str(int(port[0]) + PORT_BASE - 8545), text)


def tidy(printed: str) -> str:
    """Without what only makes columns."""
    return "".join(" ".join(line.split()) + "\n" for line in printed.splitlines())


def pattern_of(printed: str) -> str:
    """What is printed, where an ellipsis stands for anything; as a line, for any lines."""
    return "".join(
        r"(?:.*\n)*?" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + "\n"
        for line in tidy(printed).splitlines()
    )


@pytest.mark.timeout(TIMEOUT_S + 20)
def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    steps = read_steps()
    view = f"qanat view --port {PORT_BASE + 2}"
    script = "".join(
        f"echo '{MARK} {number}'\n{elsewhere(command).replace('qanat view', view)}\n"
        for number, (command, _) in enumerate(steps)
    )
    stop = "trap '(kill %1; qanat down; qanat down --data copy) > stopped.log 2>&1' EXIT\n"
    done = subprocess.run(
        ["bash", "-c", stop + script],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "QANAT_PORT_BASE": str(PORT_BASE),
            "QANAT_DATA": "",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    printed = re.split(rf"^{MARK} \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(steps), done.stdout[-2000:] + done.stderr[-2000:]
    for (command, expected), found in zip(steps, printed, strict=True):
        assert re.fullmatch(pattern_of(elsewhere(expected)), tidy(found)), (
            f"$ {command}\n{found}\n{done.stderr[-2000:]}"
        )
