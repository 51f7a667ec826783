"""Every `curl` of docs/http.md works on a running network, as a person types it."""

import json
import re
import shutil
import subprocess

import pytest

from qanat.network import DEFAULT_PORT_BASE
from tests.support.networks import ROOT, ProcessNetwork

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "http.md").read_text(), re.DOTALL)
COMMANDS = [
    command.replace("\\\n", " ")
    for block in BLOCKS
    for command in re.split(r"(?<!\\)\n", block.strip())
]


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda command: command.split("localhost:")[-1][:60]
)
def test_example_answers(process_network: ProcessNetwork, command: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    moved = process_network.http_port - DEFAULT_PORT_BASE
    typed = re.sub(r"localhost:(\d+)", lambda m: f"localhost:{int(m.group(1)) + moved}", command)
    typed = typed.replace(".qanat/default", str(process_network.data))
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if "/metrics" in command:
        assert "qanat_" in done.stdout
        return
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers
    assert not any(isinstance(one, dict) and "error" in one for one in answers), done.stdout
