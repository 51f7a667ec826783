"""Curves: networks of the size that is asked for, and what grows."""

import pytest

from qanat.network import load_network
from qanat.provision.genesis_file import load_genesis_accounts
from tests.bench.curves import CURVES, exponent, growth

POINTS = [
    {"size": 10, "p50": 8.0, "cpu": 20.0, "closed": 400.0, "memory": 300.0, "disk": 10.0},
    {"size": 1_000, "p50": 8.0, "cpu": 40.0, "closed": 200.0, "memory": 300.0, "disk": 1_000.0},
]


def network(folder, name: str, size: int):
    file = folder / "network.toml"
    file.write_text(CURVES[name].network(folder, size))
    return load_network(file)


def test_networks_have_the_size_that_is_asked_for(tmp_path):
    assert len(network(tmp_path, "nodes", 16).paratime[0].nodes) == 16
    six = network(tmp_path, "paratimes", 6).paratime
    assert len({one.id for one in six}) == len({one.gateway.http_port for one in six}) == 6
    (one,) = network(tmp_path, "accounts", 250).paratime
    assert len(load_genesis_accounts(tmp_path / "accounts.json")) == 250
    assert one.genesis is not None


def test_growth_is_the_exponent_between_the_first_size_and_the_last():
    assert exponent(POINTS, "p50") == 0
    assert exponent(POINTS, "cpu") == pytest.approx(0.1505, abs=1e-4)
    assert exponent(POINTS, "disk") == pytest.approx(1)
    assert growth(POINTS)[1:] == ["+0.00", "+0.15", "-0.15", "+0.00", "+1.00"]
