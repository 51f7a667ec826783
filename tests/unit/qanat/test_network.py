from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from qanat.compose_file import render_compose_file
from qanat.launcher.environment import RunOptions, host_environment
from qanat.layout import DataLayout
from qanat.network import BadNetworkFile, load_network, plan_nodes, with_profile
from qanat.network.workers import add_workers

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = ROOT / "networks" / "default.toml"
SECOND_PARATIME = """
[[paratime]]
name = "emerald"
id = "8000000000000000000000000000000000000000000000000000000000000001"
runtime = "evm"
evm_chain_id = 0xa514
confidential = false
nodes = ["public-0", "public-1"]
committee = {workers = 2, backup_workers = 1}
gateway = {name = "gateway-emerald", http_port = 8645, ws_port = 8646}
"""


def changed(tmp_path: Path, *changes: tuple[str, str], more: str = "") -> Path:
    text = DEFAULT.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "changed.toml"
    path.write_text(text.replace("[accounts]", more + "\n[accounts]"))
    return path


def test_default_network_is_what_the_design_says() -> None:
    plans = plan_nodes(load_network(DEFAULT))
    assert [plan.name for plan in plans] == [
        "consensus-0",
        "keymanager-0",
        "keymanager-1",
        *(f"compute-{i}" for i in range(4)),
        "gateway",
    ]
    (paratime,) = load_network(DEFAULT).paratime
    assert (paratime.committee.workers, paratime.committee.backup_workers) == (3, 3)
    assert (paratime.evm_chain_id, paratime.id) == (0x5AFD, "80" + "00" * 31)


def test_ports_do_not_clash_and_move_with_the_base(tmp_path: Path) -> None:
    network = load_network(changed(tmp_path, more=SECOND_PARATIME))
    ports = [port for plan in plan_nodes(network) for port in plan.ports]
    assert len(set(ports)) == len(ports)
    assert {8545, 8546, 8600, 8645, 8646} <= set(ports)
    moved = [port for plan in plan_nodes(network, 18545) for port in plan.ports]
    assert moved == [port + 10_000 for port in ports]


def test_each_node_knows_what_it_serves(tmp_path: Path) -> None:
    network = load_network(changed(tmp_path, more=SECOND_PARATIME))
    plans = {plan.name: plan for plan in plan_nodes(network)}
    assert plans["consensus-0"].runtimes == ()
    assert plans["keymanager-0"].runtimes == ("keymanager",)
    assert plans["keymanager-0"].paratimes == ()
    assert plans["compute-3"].paratimes == ("sapphire",)
    assert plans["public-1"].paratimes == ("emerald",)
    assert plans["gateway-emerald"].paratimes == ("emerald",)


def test_port_of_one_node_is_overridden(tmp_path: Path) -> None:
    more = '[[node]]\nname = "compute-1"\nport = 9000\n'
    plans = {p.name: p for p in plan_nodes(load_network(changed(tmp_path, more=more)), 18545)}
    assert plans["compute-1"].ports[0] == 19000
    assert plans["compute-2"].ports[0] < 19000


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("workers = 3", "workers = 5", r"committee\.workers must be 1 to .* \(4\)"),
        ("backup_workers = 3", "backup_workers = 0", r"backup_workers must be 1 to .* \(4\)"),
        ("round_timeout_ms = 2000", "round_timeout_ms = 0", "round_timeout_ms must be at least 1"),
        ('nodes = ["consensus-0"]', 'nodes = ["a", "b"]', "solo engine has one validator"),
        ('["keymanager-0", "keymanager-1"]', "[]", "nodes must name at least 1 node"),
        ('"keymanager-1"]', '"compute-0"]', r"'compute-0' stands in several places \(key_manager"),
        ('"compute-3"]', '"compute-2"]', "node 'compute-2' is named twice"),
        ('"compute-3"]', '"Compute 3"]', "name 'Compute 3' must be small letters"),
        ('"compute-3"]', '"public"]', "name 'public' is reserved"),
        ('key_manager = "keymanager"', 'key_manager = "other"', "'other' is not in the file"),
        ('key_manager = "keymanager"\n', "", "a confidential ParaTime needs a key_manager"),
        ("confidential = true", "confidential = false", "key_manager has nothing to keep"),
        ("evm_chain_id = 0x5afd", "", "an EVM needs an evm_chain_id"),
        ('runtime = "evm"', 'runtime = "wasm"', "runtime 'wasm' is none of"),
        ("http_port = 8545", "http_port = 8546", "port 8546 is given to gateway and to gateway"),
        ("ws_port = 8546", "ws_port = 8600", "port 8600 is given to consensus-0 and to gateway"),
        ("ws_port = 8546", "ws_port = 0", "ports of its gateway must be"),
        (
            "ws_port = 8546",
            'ws_port = 8546\nanswer = "soon"',
            "answer of its gateway must be one of",
        ),
        (
            "ws_port = 8546",
            'ws_port = 8546\nprofile = "kind"',
            "profile of its gateway must be one of",
        ),
        (
            'runtime = "evm"',
            'runtime = "evm"\nnonce_window = "far"',
            "nonce_window must be a number",
        ),
        ("ws_port = 8546", "ws_port = 70000", "port 70000 of gateway is above 65535"),
        ('name = "gateway"', 'name = "compute-1"', "'compute-1' stands in several places"),
        ("base_epoch = 2", 'base_epoch = "2"', "base_epoch: expected int"),
        ("base_epoch = 2", "base_epoc = 2", "unknown field 'base_epoc'"),
        (
            "unsafe_mock_tee",
            "block_time_step_s = 40_000_000\nunsafe_mock_tee",
            "block_time_step_s must be",
        ),
        ("epoch_interval_s = 600", "epoch_interval_s = 0", "epoch_interval_s must be at least 1"),
        ('id = "8000', 'id = "80', "id must be 64 hex digits"),
        ('id = "8000', 'id = "c000', "id has the key manager flag"),
        ('id = "c000', 'id = "8001', "id must have the key manager flag"),
        ("[consensus]", "[consensus", "changed.toml"),
    ],
)
def test_fault_in_the_file_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(BadNetworkFile, match=reason):
        load_network(changed(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "emerald"', 'name = "sapphire"', "runtime name 'sapphire' is given twice"),
        ("0000000001", "0000000000", "id 80+ is given twice"),
        ("gateway-emerald", "gateway", "node 'gateway' stands in several places"),
        ("8645", "8545", "port 8545 is given to gateway and to gateway-emerald"),
    ],
)
def test_clash_of_two_paratimes_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(BadNetworkFile, match=reason):
        load_network(changed(tmp_path, more=SECOND_PARATIME.replace(old, new)))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ('name = "compute-9"', "no node of this name"),
        ('name = "compute-1"\nport = 8600', "port 8600 is given to consensus-0 and to compute-1"),
        ('name = "gateway"\nport = 9000', r"stand in \[paratime.gateway\]"),
        ('name = "compute-1"\nlog_level = "loud"', "log_level must be one of"),
        ('name = "compute-1"\ncan_lie = ["emerald"]', "that the node does not serve"),
        ('name = "keymanager-0"\ncan_lie = ["sapphire"]', "that the node does not serve"),
    ],
)
def test_fault_in_an_override_is_named(tmp_path: Path, override: str, reason: str) -> None:
    with pytest.raises(BadNetworkFile, match=reason):
        load_network(changed(tmp_path, more=f"[[node]]\n{override}\n"))


def test_liar_needs_dev_controls(tmp_path: Path) -> None:
    more = '[[node]]\nname = "compute-1"\ncan_lie = ["sapphire"]\n'
    path = changed(tmp_path, ("dev_controls = true", "dev_controls = false"), more=more)
    with pytest.raises(BadNetworkFile, match="can_lie needs dev_controls"):
        load_network(path)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, ("workers = 3", "workers = 9"), ('runtime = "evm"', 'runtime = "x"'))
    with pytest.raises(BadNetworkFile, match=r"runtime 'x' .*; .*workers must be"):
        load_network(path)


def test_file_of_the_first_form_is_told_what_to_do(tmp_path: Path) -> None:
    path = changed(tmp_path, ("[[key_manager]]", "[key_manager]"))
    with pytest.raises(BadNetworkFile, match=r"lists now, \[\[paratime\]\]"):
        load_network(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadNetworkFile, match="no such file"):
        load_network(tmp_path / "none.toml")


def test_committed_compose_file_is_the_generated_one() -> None:
    text = render_compose_file(
        load_network(DEFAULT), Path("networks/default.toml"), Path("docker-compose.yml")
    )
    assert (ROOT / "docker-compose.yml").read_text() == text


def test_compose_file_runs_the_same_nodes_on_the_same_ports(tmp_path: Path) -> None:
    network = load_network(changed(tmp_path, more=SECOND_PARATIME))
    text = render_compose_file(network, Path("networks/two.toml"), None)
    services = yaml.safe_load(text)["services"]
    plans = {plan.name: plan for plan in plan_nodes(network, by_name=True)}
    assert set(services) == {*plans, "setup"}
    assert services["setup"]["environment"]["QANAT_NETWORK"] == "/srv/qanat/networks/two.toml"
    for name, plan in plans.items():
        service = services[name]
        assert service["labels"]["io.qanat.node"] == name
        assert service["labels"]["io.qanat.service"] == plan.service
        assert service["labels"].get("io.qanat.runtimes", "") == ",".join(plan.runtimes)
        assert service["environment"]["QANAT_NETWORK"] == "/srv/qanat/networks/two.toml"
        health = " ".join(service["healthcheck"]["test"])
        assert f"/dev/tcp/127.0.0.1/{plan.port} " in health
        assert len(service["ports"]) == (2 if plan.service == "gateway" else 1)
        for port in service["ports"]:
            assert int(port.rpartition(":")[2]) in plan.ports
        assert f"{name}:/network/{name}" in service["volumes"]
        assert f"{name}:/network/{name}" in services["setup"]["volumes"]


@pytest.mark.parametrize(
    ("heights", "is_good"), [(0, True), (256, True), (255, False), (-1, False)]
)
def test_window_of_history_is_all_or_at_least_what_is_in_memory(
    tmp_path: Path, heights: int, is_good: bool
) -> None:
    line = 'nodes = ["consensus-0"]'
    path = changed(tmp_path, (line, f"{line}\nkeep_heights = {heights}"))
    if is_good:
        network = load_network(path)
        plan = plan_nodes(network)[0]
        options = RunOptions("info", None, "127.0.0.1", None)
        layout = DataLayout(tmp_path)
        given = host_environment(network, plan_nodes(network), plan, layout, options)
        assert given["QANAT_KEEP_HEIGHTS"] == str(heights)
    else:
        with pytest.raises(BadNetworkFile, match="keep_heights"):
            load_network(path)


def test_states_are_kept_for_a_window_of_rounds_or_for_ever(tmp_path: Path) -> None:
    line = "evm_chain_id = 0x5afd"
    for rounds in (0, 1, 100):
        network = load_network(changed(tmp_path, (line, f"{line}\nkeep_rounds = {rounds}")))
        assert network.paratime[0].keep_rounds == rounds
    with pytest.raises(BadNetworkFile, match="keep_rounds"):
        load_network(changed(tmp_path, (line, f"{line}\nkeep_rounds = -1")))


def test_gateways_of_confidential_evms_alone_are_told_what_is_to_be_encrypted(
    tmp_path: Path,
) -> None:
    network = load_network(ROOT / "networks" / "paratimes.toml")
    plans, layout = plan_nodes(network), DataLayout(tmp_path)
    options = RunOptions(require_encryption=("0x" + "11" * 20, "all"))
    told = {
        plan.name: host_environment(network, plans, plan, layout, options).get(
            "QANAT_REQUIRE_ENCRYPTION"
        )
        for plan in plans
    }
    confidential = {one.gateway.name for one in network.paratime if one.is_evm and one.confidential}
    assert {name for name, words in told.items() if words} == confidential
    assert told["gateway"] == "0x" + "11" * 20 + ",all"


WORKER = '[worker]\nparatime = "sapphire"\nnodes = ["worker-0", "worker-1"]\n'


def test_workers_come_after_the_nodes_of_the_chain_and_move_no_port(tmp_path: Path) -> None:
    plain = plan_nodes(load_network(DEFAULT))
    plans = plan_nodes(load_network(changed(tmp_path, more=WORKER)))
    workers = [plan for plan in plans if plan.service == "worker"]
    assert [plan.name for plan in workers] == ["worker-0", "worker-1"]
    assert {plan.runtimes for plan in workers} == {("sapphire",)}
    assert [plan for plan in plans if plan.service != "worker"] == list(plain)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"worker-1"', '"worker-0"', "node 'worker-0' stands in several places"),
        ('"worker-1"', '"compute-0"', "node 'compute-0' stands in several places"),
        ('nodes = ["worker-0", "worker-1"]', "nodes = []", "must name at least 1 node"),
        ('"sapphire"', '"emerald"', "'emerald' is not in the file"),
        ("[worker]", "[worker]\nappd_port = 80", "appd_port must be 0, or 1024"),
        ("[worker]", "[worker]\nappd_port = 65510", "appd_port must be 0, or 1024"),
        ("[worker]", "[worker]\napp_port = 80", "app_port must be 0, or 1024"),
    ],
)
def test_workers_that_cannot_be_are_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    with pytest.raises(BadNetworkFile, match=reason):
        load_network(changed(tmp_path, more=WORKER.replace(old, new)))


def test_workers_in_containers_publish_ports_of_their_apps(tmp_path: Path) -> None:
    """The same inside of each, so that one secret `PORT` does for all; apart outside."""
    network = load_network(changed(tmp_path, more=WORKER + "app_port = 8700\n"))
    text = render_compose_file(network, Path("networks/two.toml"), None)
    services = yaml.safe_load(text)["services"]
    for name, outer in (("worker-0", "8700-8715"), ("worker-1", "8716-8731")):
        assert services[name]["ports"][1] == f"127.0.0.1:{outer}:8700-8715"
        assert services[name]["environment"]["QANAT_APP_HOST"] == "0.0.0.0"
        assert services[name]["environment"]["QANAT_APP_PORTS"] == "8700-8715"
        assert "OASIS_NODE_LOG_LEVEL" in services[name]["environment"]
    assert "QANAT_APP_HOST" not in services["compute-0"]["environment"]


def test_workers_with_ai_have_an_image_of_their_own(tmp_path: Path) -> None:
    """Built once for all of them; every other node keeps the small one."""
    network = load_network(changed(tmp_path, more=WORKER + "ai = true\n"))
    services = yaml.safe_load(render_compose_file(network, Path("networks/two.toml"), None))[
        "services"
    ]
    images = {name: one["image"] for name, one in services.items()}
    assert {name for name, image in images.items() if image == "qanat:ai"} == {
        "worker-0",
        "worker-1",
    }
    assert set(images.values()) == {"qanat:ai", "qanat:local"}
    built = {name: one["build"] for name, one in services.items() if "build" in one}
    assert built == {"setup": ".", "worker-0": {"context": ".", "target": "ai"}}


def test_workers_are_added_to_a_file_once(tmp_path: Path) -> None:
    target = add_workers(DEFAULT, 2, tmp_path / "data.toml")
    network = load_network(target)
    assert network.worker is not None
    assert (network.worker.paratime, network.worker.nodes) == ("sapphire", ("worker-0", "worker-1"))
    assert replace(network, worker=None) == load_network(DEFAULT)
    with pytest.raises(BadNetworkFile, match="names its workers itself"):
        add_workers(target, 1, tmp_path / "again.toml")
    public = ("confidential = true", "confidential = false"), ('key_manager = "keymanager"\n', "")
    with pytest.raises(BadNetworkFile, match="no confidential EVM"):
        add_workers(changed(tmp_path, *public), 1, tmp_path / "again.toml")


def test_workers_need_a_paratime_in_which_apps_have_keys(tmp_path: Path) -> None:
    public = ("confidential = true", "confidential = false"), ('key_manager = "keymanager"\n', "")
    with pytest.raises(BadNetworkFile, match="must be a confidential EVM"):
        load_network(changed(tmp_path, *public, more=WORKER))


@pytest.mark.parametrize(
    ("said", "profile", "has_it"),
    [
        (None, "strict", False),
        (None, "dev", True),
        (False, "dev", False),
        (True, "strict", True),
    ],
)
def test_profile_of_a_new_chain_says_how_gas_is_charged_unless_the_file_does(
    tmp_path: Path, said: bool | None, profile: str, has_it: bool
) -> None:
    line = "" if said is None else f"ethereum_gas = {str(said).lower()}\n"
    file = changed(tmp_path, ("confidential = true\n", "confidential = true\n" + line))
    (by_option,) = with_profile(load_network(file), profile).paratime
    text = file.read_text().replace("ws_port = 8546", f'ws_port = 8546\nprofile = "{profile}"')
    file.write_text(text)
    (by_file,) = load_network(file).paratime
    assert by_option == by_file
    assert by_option.begins_with_ethereum_gas is has_it
    assert not replace(by_option, runtime="python:a.b", ethereum_gas=True).begins_with_ethereum_gas
