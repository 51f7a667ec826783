"""The small program that a new app begins with."""

from pathlib import Path

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


def write_template(directory: Path) -> bool:
    """Write the program where there is none; says whether it did."""
    path = directory / APP_FILE
    if path.exists():
        return False
    path.write_text(_PROGRAM)
    return True
