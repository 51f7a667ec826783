from pathlib import Path

import pytest
import yaml

from qanat.network import BadNetworkFile, load_network, plan_nodes

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = ROOT / "networks" / "default.toml"


def test_default_network_is_what_the_design_says() -> None:
    nodes = load_network(DEFAULT).nodes
    assert (nodes.consensus, nodes.keymanager, nodes.compute, nodes.gateway) == (1, 2, 4, 1)


def test_ports_do_not_clash_and_move_with_the_base() -> None:
    network = load_network(DEFAULT)
    ports = [port for plan in plan_nodes(network) for port in plan.ports]
    assert len(set(ports)) == len(ports)
    assert {8545, 8546} <= set(ports)
    moved = [port for plan in plan_nodes(network, 18545) for port in plan.ports]
    assert moved == [port + 10_000 for port in ports]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("compute = 4", "compute = 0", "paratime.workers"),
        ("consensus = 1", "consensus = 4", "solo engine"),
        ("gateway = 1", "gateway = 2", "nodes.gateway must be 1"),
        ("keymanager = 2", "keymanager = 0", "keymanager must be at least 1"),
        ("base_epoch = 2", 'base_epoch = "2"', "base_epoch: expected int"),
        ("base_epoch = 2", "base_epoc = 2", "unknown field 'base_epoc'"),
        ('id = "8000', 'id = "80', "paratime.id must be 64 hex digits"),
        ("[nodes]", "[nodes", "default.toml"),
    ],
)
def test_fault_in_the_file_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    changed = tmp_path / "default.toml"
    text = DEFAULT.read_text()
    assert old in text
    changed.write_text(text.replace(old, new, 1))
    with pytest.raises(BadNetworkFile, match=reason):
        load_network(changed)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadNetworkFile, match="no such file"):
        load_network(tmp_path / "none.toml")


def test_compose_file_runs_the_same_nodes_on_the_same_ports() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    plans = {plan.name: plan for plan in plan_nodes(load_network(DEFAULT), by_name=True)}
    assert set(services) == {*plans, "setup"}
    for name, plan in plans.items():
        service = services[name]
        assert service["labels"] == {"io.qanat.node": name, "io.qanat.service": plan.service}
        health = " ".join(service["healthcheck"]["test"])
        assert f"/dev/tcp/127.0.0.1/{plan.http_port} " in health
        if plan.frame_port:
            assert service["ports"] == [f"127.0.0.1:{plan.frame_port}:{plan.frame_port}"]
        assert f"{name}:/network/{name}" in service["volumes"]
