"""What a new app begins with: a small program, or a Compose file with one."""

from pathlib import Path

from qanat.rofl.images import pin_image
from qanat.rofl.manifest import COMPOSE_FILE

APP_FILE = "main.py"
_PROGRAM = '''\
"""What every instance of this app runs; the app daemon answers it on a socket."""

import os
import time

import httpx

SOCKET = os.environ.get("ROFL_APPD_SOCKET", "/run/rofl-appd.sock")


def main() -> None:
    """Derive a key that all instances share and nobody else has, and stay."""
    unix = httpx.HTTPTransport(uds=SOCKET)
    with httpx.Client(transport=unix, base_url="http://localhost") as appd:
        print("app", appd.get("/rofl/v1/app/id").text, flush=True)
        asked = {"key_id": "my-first-key", "kind": "secp256k1"}
        answer = appd.post("/rofl/v1/keys/generate", json=asked).raise_for_status()
        print("a key of", len(answer.json()["key"]) // 2, "bytes is here", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
'''

_COMPOSE = """\
# What every instance of this app runs: docs/rofl.md has what workers take of Compose.
services:
  app:
    image: {image}
    command: python -u /app/app.py
    init: true
    restart: on-failure
    environment:
      - GREETING=${{GREETING:-hello}}  # a secret of the app, where it has one of this name
    volumes:
      - ./app:/app:ro
      - /run/rofl-appd.sock:/run/rofl-appd.sock
"""
_CONTAINER_PROGRAM = '''\
"""What the container of this app runs; the app daemon answers it on a socket."""

import http.client
import json
import os
import socket
import time


class Daemon(http.client.HTTPConnection):
    """A connection to the app daemon."""

    def connect(self) -> None:
        """Connect to its socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/rofl-appd.sock")


def main() -> None:
    """Derive a key that all instances share and nobody else has, and stay."""
    asked = json.dumps({"key_id": "my-first-key", "kind": "secp256k1"})
    appd = Daemon("localhost")
    appd.request("POST", "/rofl/v1/keys/generate", asked, {"Content-Type": "application/json"})
    answer = appd.getresponse()
    if answer.status != http.client.OK:
        raise SystemExit(f"the daemon answers {answer.status}")
    key = json.load(answer)["key"]
    print(os.environ["GREETING"] + ": a key of", len(key) // 2, "bytes is here")
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
'''


def write_compose(directory: Path, image: str) -> list[str]:
    """Write a Compose file and what it runs where there is none; gives what was written."""
    path, program = directory / COMPOSE_FILE, directory / "app" / "app.py"
    if path.exists():
        return []
    path.write_text(_COMPOSE.format(image=pin_image(image)))
    if not program.exists():
        program.parent.mkdir(exist_ok=True)
        program.write_text(_CONTAINER_PROGRAM)
    return [COMPOSE_FILE, "app/app.py"]


def write_template(directory: Path) -> bool:
    """Write the program where there is none; says whether it did."""
    path = directory / APP_FILE
    if path.exists():
        return False
    path.write_text(_PROGRAM)
    return True
