"""What a log line holds, and what it must not."""

import json
import subprocess
import sys

import pytest

CANARY = "5ec2e7" * 8
PROGRAM = """
import structlog
from shared.kit.logs import configure_logs

def fail(key):
    inner = key + "!"
    raise ValueError("it broke")

configure_logs(as_json={as_json}, node="compute-0")
try:
    fail("{canary}")
except ValueError as error:
    structlog.get_logger().error("request_failed", exc_info=error)
    structlog.get_logger().exception("request_failed_again")
"""


MUTED = """
import structlog
from shared.kit.logs import configure_logs, mute_logs

configure_logs()
log = structlog.get_logger()
for is_muted in (False, True, False):
    mute_logs(is_muted)
    log.info("said", is_muted=is_muted)
    log.warning("warned", is_muted=is_muted)
"""


def test_muted_logs_have_warnings_alone() -> None:
    done = subprocess.run([sys.executable, "-c", MUTED], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["event"], line["is_muted"]) for line in lines] == [
        ("said", False),
        ("warned", False),
        ("warned", True),
        ("said", False),
        ("warned", False),
    ]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_names_places_and_no_values(as_json: bool) -> None:
    code = PROGRAM.format(as_json=as_json, canary=CANARY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert CANARY not in done.stdout + done.stderr
    assert "it broke" in done.stdout
    assert done.stdout.count("in fail" if not as_json else '"name": "fail"') == 2
    if as_json:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["event"] for line in lines] == ["request_failed", "request_failed_again"]
        assert {line["node"] for line in lines} == {"compute-0"}
