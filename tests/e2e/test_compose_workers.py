"""A worker in a container: an app of the checkout runs in it, and comes back with its key."""

from pathlib import Path

import httpx
import pytest

from tests.support.networks import ROOT, compose_network, run_cli, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
"""The image may have to be built first."""

NETWORK = ROOT / "networks" / "workers.toml"
APP = "http://127.0.0.1:8700"
"""As `app_port` of the file has it."""
PROGRAM = """
import http.server, os, time
import httpx

unix = httpx.HTTPTransport(uds=os.environ["ROFL_APPD_SOCKET"])
with httpx.Client(transport=unix, base_url="http://localhost") as appd:
    asked = {"key_id": "its key", "kind": "secp256k1"}
    key = appd.post("/rofl/v1/keys/generate", json=asked).json()["key"]
print("key", key, time.time_ns(), flush=True)

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the app")

http.server.HTTPServer((os.environ["APP_HOST"], 8700), Answer).serve_forever()
"""


def test_an_app_runs_in_a_container_and_resumes(tmp_path: Path) -> None:
    """Its enclave is measured as the image has it, whose native module is another build."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text(PROGRAM)
    with compose_network(NETWORK, tmp_path) as network:
        here = ("--app", str(app))

        def seen() -> list[tuple[str, str]]:
            """Give the newest start's key, and when that was."""
            told = network.cli("rofl", "logs", *here)
            words = [line.split() for line in told.splitlines() if line.startswith("key ")]
            return [(key, when) for _, key, when in words[-1:]]

        run_cli("rofl", "init", str(app))
        run_cli("rofl", "create", *here)
        network.cli("rofl", "build", *here)
        run_cli("rofl", "update", *here)
        network.cli("rofl", "deploy", *here)
        wait_for(lambda: bool(seen()), 60, "the app has its key")
        ((key, when),) = seen()
        wait_for(lambda: httpx.get(APP).text == "the app", 60, "it is reached from outside")
        network.compose("kill", "worker-0")
        network.compose("up", "-d", "--wait", "worker-0")
        wait_for(lambda: seen() not in ([], [(key, when)]), 60, "it came back with the container")
        assert seen()[0][0] == key
