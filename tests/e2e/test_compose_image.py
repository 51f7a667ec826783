"""The container image holds what nodes run, and little else."""

import subprocess

import pytest

from tests.support.networks import ComposeNetwork

LARGEST_BYTES = 250_000_000
"""It was 217 MB by `docker image inspect` when it was last cut, and 370 MB before."""
ABSENT = ["pip", "apt-get", "perl", "gcc"]


@pytest.mark.docker
def test_the_image_is_small_and_holds_no_installer(compose_network: ComposeNetwork) -> None:
    size = docker("image", "inspect", "--format", "{{.Size}}", "qanat:local")
    assert int(size) < LARGEST_BYTES
    container = compose_network.compose("ps", "--quiet", "gateway").strip()
    script = f"for name in {' '.join(ABSENT)} sh; do command -v $name; done; true"
    found = docker("exec", container, "sh", "-c", script)
    assert [line.rsplit("/", 1)[-1] for line in found.split()] == ["sh"]


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
