"""The apps that a worker is to run, in its own directory: bundles, and what is wanted of each."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from shared.encoding.values import from_wire
from shared.errors import Rejected

BUNDLE, DEPLOYMENT = "bundle.orc", "deployment.json"
APP_ID_BYTES = 21


class CannotKeep(Rejected, module="worker", code=23):
    """The bundle cannot be written to the disk."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is wanted of an app."""

    app_id: bytes
    is_wanted: bool = True
    """Whether it is to run."""

    @property
    def name(self) -> str:
        """Name of its instance here."""
        return self.app_id.hex()


class DeploymentStore:
    """Deployments by app, over restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def bundle(self, app_id: bytes) -> Path:
        """File of an app's bundle."""
        return self._folder(app_id) / BUNDLE

    def load(self) -> list[Deployment]:
        """Give what is to be here; a deployment that was half written is none."""
        found = []
        for path in sorted(self._directory.glob(f"*/{DEPLOYMENT}")):
            try:
                app_id = bytes.fromhex(path.parent.name)
                is_wanted = from_wire(bool, json.loads(path.read_text())["is_wanted"])
            except (ValueError, KeyError, TypeError, Rejected):
                continue
            if len(app_id) == APP_ID_BYTES and self.bundle(app_id).exists():
                found.append(Deployment(app_id, is_wanted))
        return found

    def save(self, deployment: Deployment, bundle: bytes | None = None) -> None:
        """Keep what is wanted of an app, with its bundle where that is new, or `CannotKeep`."""
        folder = self._folder(deployment.app_id)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if bundle is not None:
                _replace(folder / BUNDLE, bundle)
            wanted = json.dumps({"is_wanted": deployment.is_wanted}).encode()
            _replace(folder / DEPLOYMENT, wanted)
        except OSError as error:
            raise CannotKeep(f"the app cannot be kept: {error}") from error

    def forget(self, app_id: bytes) -> None:
        """Remove everything about an app."""
        shutil.rmtree(self._folder(app_id), ignore_errors=True)

    def _folder(self, app_id: bytes) -> Path:
        return self._directory / app_id.hex()


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(content)
    unfinished.rename(path)
