"""What an app's directory is packed into: a program, or containers by its Compose file."""

from pathlib import Path

import pytest

from qanat.rofl import building
from qanat.rofl.building import pack_app
from qanat.rofl.compose_project import BadCompose
from qanat.rofl.project import Project
from services.worker.rules.bundle import decode_bundle
from services.worker.rules.container_checks import BadContainers

PINNED = "sha256:" + "a" * 64
MANIFEST = """
name: oracle
version: 0.1.0
kind: {kind}
artifacts:
  container:
    compose: app.compose.yaml
deployments:
  default:
    network: localnet
    paratime: sapphire
"""


def project(directory: Path, kind: str, image: str = PINNED) -> Project:
    """An app with a program and a Compose file beside it."""
    (directory / "main.py").write_text("print('runs')\n")
    text = f"services: {{app: {{image: '{image}', volumes: ['./main.py:/main.py']}}}}\n"
    (directory / "app.compose.yaml").write_text(text)
    (directory / "rofl.yaml").write_text(MANIFEST.format(kind=kind))
    return Project(directory, None)


def test_a_program_is_packed(tmp_path: Path) -> None:
    bundle = decode_bundle(pack_app(project(tmp_path, "raw")))
    assert bundle.manifest.name == "oracle"
    assert bundle.manifest.containers is None


def test_an_app_of_containers_is_packed_with_its_services_and_files(tmp_path: Path) -> None:
    bundle = decode_bundle(pack_app(project(tmp_path, "container")))
    (service,) = bundle.manifest.containers or ()
    assert (service.name, service.image, service.memory_mib) == ("app", PINNED, 512)
    assert bundle.manifest.entry_point == "app.compose.yaml"
    assert {file.path for file in bundle.files} == {"app.compose.yaml", "main.py"}


def test_an_image_that_is_not_pinned_is_refused_and_the_engines_own_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "pin_image", lambda _: "python@" + PINNED)
    with pytest.raises(BadCompose, match=f"not pinned.*python@{PINNED}"):
        pack_app(project(tmp_path, "container", image="python:3"))
    # Where no engine knows it.
    monkeypatch.setattr(building, "pin_image", lambda name: name)
    with pytest.raises(BadContainers, match="not pinned"):
        pack_app(project(tmp_path, "container", image="python:3"))
