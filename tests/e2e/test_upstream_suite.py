"""Upstream's `contracts` suite, where a checkout of it is named: every test of it passes."""

import os
from pathlib import Path

import pytest

from tests.bench.contestants import CannotRun
from tests.bench.suite import UPSTREAM, prepare
from tests.support.networks import ProcessNetwork, port_base
from tests.upstream.suite import run_suite

pytestmark = pytest.mark.long

CHECKOUT = Path(os.environ.get("QANAT_UPSTREAM", UPSTREAM))
PORT_BASE = port_base(27545)
LEAST = {"Subcall": 15, "ROFLable": 5, "ROFLableUpgradeable": 5}
"""Tests that the suites of a contract's access to modules had at 046ab1e0."""


@pytest.mark.timeout(2_400)
@pytest.mark.skipif(
    not (CHECKOUT / "contracts").is_dir(),
    reason="QANAT_UPSTREAM names no checkout of sapphire-paratime",
)
def test_every_test_of_upstream_passes(tmp_path: Path) -> None:
    try:
        suite = prepare(CHECKOUT)
    except CannotRun as error:
        pytest.skip(str(error))
    network = ProcessNetwork(tmp_path / "data", PORT_BASE)
    try:
        network.up()
        score = run_suite(suite, network, tmp_path)
    finally:
        network.down()
        network.close()
    assert score.failed == {}
    assert score.skipped == []
    for title, count in LEAST.items():
        assert sum(one.startswith(f"{title} ") for one in score.passed) >= count
