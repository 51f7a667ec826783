"""What an app's directory is packed into, and which apps no worker here runs."""

from pathlib import Path

import pytest

from qanat.rofl.building import KindNotRun, pack_app
from qanat.rofl.project import Project
from services.worker.rules.bundle import decode_bundle

MANIFEST = """
name: oracle
version: 0.1.0
kind: {kind}
artifacts:
  container:
    compose: compose.yaml
deployments:
  default:
    network: localnet
    paratime: sapphire
"""


def project(directory: Path, kind: str) -> Project:
    """An app with a program and a Compose file beside it."""
    (directory / "main.py").write_text("print('runs')\n")
    (directory / "compose.yaml").write_text("services: {app: {image: 'python:3'}}\n")
    (directory / "rofl.yaml").write_text(MANIFEST.format(kind=kind))
    return Project(directory, None)


def test_a_program_is_packed(tmp_path: Path) -> None:
    bundle = decode_bundle(pack_app(project(tmp_path, "raw")))
    assert bundle.manifest.name == "oracle"


def test_an_app_of_containers_is_not_packed_as_a_program(tmp_path: Path) -> None:
    with pytest.raises(KindNotRun, match=r"kind: container.*kind: raw"):
        pack_app(project(tmp_path, "container"))
