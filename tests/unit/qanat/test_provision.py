"""What provisioning leaves on the disk, and which data directories it refuses."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from qanat.layout import DataLayout
from qanat.network import Network, load_network, with_profile
from qanat.provision.data_directory import provision
from qanat.provision.debug_key import load_debug_key
from qanat.provision.gas_rule import charging_for_size
from qanat.provision.identities import create_identity
from qanat.provision.policy import POLICY_THRESHOLD, load_policy_signers, sign_policy
from qanat.provision.removal import OtherNetwork, remove_data, verify_time_step
from qanat.rofl.bundle import worker_config
from services.worker.rules.keys import fee_key
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256, sha512_256
from shared.encoding.record import decode_record
from shared.kit.identity import known_keys, load_identity, load_node_key, nodes_of_entities
from shared.rules import state_keys
from shared.tee.config import EnclaveConfig
from shared.types.evm import EvmGenesis
from shared.types.genesis import Genesis
from shared.types.keymanager import KeyManagerStatus, Policy
from shared.types.methods import Method
from shared.types.mining import Mining
from shared.types.registry import RuntimeKind
from shared.types.transaction import Fee
from tests.support.consensus_world import World

ROOT = Path(__file__).resolve().parents[3]
NETWORKS = ROOT / "networks"


@pytest.fixture(scope="module")
def network() -> Network:
    network = load_network(NETWORKS / "paratimes.toml")
    one, *others = network.paratime
    return replace(network, paratime=(replace(one, keep_rounds=0), *others))


@pytest.fixture(scope="module")
def layout(network: Network, tmp_path_factory: pytest.TempPathFactory) -> DataLayout:
    layout = DataLayout(tmp_path_factory.mktemp("data"))
    assert provision(layout, network, {"0x" + "11" * 20: 5}, seed=b"provision")
    return layout


def genesis_of(layout: DataLayout) -> Genesis:
    return decode_record(Genesis, layout.genesis.read_bytes())


def config_of(layout: DataLayout, node: str, runtime: str) -> EnclaveConfig:
    return decode_record(EnclaveConfig, layout.enclave_config(node, runtime).read_bytes())


def test_each_runtime_of_the_file_is_in_genesis(network: Network, layout: DataLayout) -> None:
    runtimes = {runtime.id.hex(): runtime for runtime in genesis_of(layout).runtimes}
    assert runtimes.keys() == {one.id for one in (*network.key_manager, *network.paratime)}
    for paratime in network.paratime:
        runtime = runtimes[paratime.id]
        assert runtime.kind is RuntimeKind.COMPUTE
        assert (runtime.key_manager is not None) == paratime.confidential
        assert runtime.executor.group_size == paratime.committee.workers
        assert runtime.keep_rounds == (paratime.keep_rounds or None)


def test_each_runtime_of_a_node_has_an_enclave_of_its_own_measurement(
    network: Network, layout: DataLayout
) -> None:
    listed = {
        runtime.id: runtime.deployments[0].tee.enclaves for runtime in genesis_of(layout).runtimes
    }
    assert len(set(listed.values())) == len(listed)
    for paratime in network.paratime:
        for node in paratime.nodes:
            config = config_of(layout, node, paratime.name)
            assert config.runtime_id.hex() == paratime.id
            assert config.runtime == paratime.runtime


def test_a_policy_lets_each_paratime_ask_for_its_own_keys_only(
    network: Network, layout: DataLayout
) -> None:
    genesis = genesis_of(layout)
    listed = {r.id: r.deployments[0].tee.enclaves for r in genesis.runtimes}
    (signed,) = genesis.policies
    policy = decode_record(Policy, signed.untrusted_raw_value)
    (enclave,) = policy.enclaves
    confidential = {bytes.fromhex(one.id) for one in network.paratime if one.confidential}
    assert enclave.may_query == {id_: listed[id_] for id_ in confidential}


def test_liar_is_listed_where_the_file_says_so_and_nowhere_else(
    layout: DataLayout, tmp_path: Path
) -> None:
    byzantine = DataLayout(tmp_path / "byzantine")
    provision(byzantine, load_network(NETWORKS / "byzantine.toml"), {}, seed=b"liar")
    assert config_of(byzantine, "compute-3", "sapphire").runtime == "lying:runtimes.evm"
    assert config_of(byzantine, "compute-2", "sapphire").runtime == "evm"
    genesis = genesis_of(byzantine)
    (paratime,) = (one for one in genesis.runtimes if one.kind is RuntimeKind.COMPUTE)
    assert len(paratime.deployments[0].tee.enclaves) == 2
    policy = decode_record(Policy, genesis.policies[0].untrusted_raw_value)
    assert policy.enclaves[0].may_query == {paratime.id: paratime.deployments[0].tee.enclaves}
    honest = genesis_of(layout).runtimes
    assert {len(one.deployments[0].tee.enclaves) for one in honest} == {1}


def test_dev_token_is_the_owners_only(network: Network, layout: DataLayout) -> None:
    token = layout.dev_token.read_text()
    assert len(bytes.fromhex(token)) == 32
    for path in (layout.dev_token, layout.node_dev_token("consensus-0")):
        assert path.read_text() == token
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_debug_key_is_the_owners_only_and_pinned_in_what_is_measured(
    network: Network, layout: DataLayout, tmp_path: Path
) -> None:
    key = load_debug_key(layout.debug_key)
    assert key is not None
    assert not provision(layout, network, {}, seed=b"resumed")
    resumed = load_debug_key(layout.debug_key)
    assert resumed is not None
    assert resumed.public_key == key.public_key
    kept = load_debug_key(layout.kept_debug_key("consensus-0"))
    assert kept is not None and kept.public_key == key.public_key
    for path in (layout.debug_key, layout.kept_debug_key("consensus-0")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    seed = layout.debug_key.read_text().strip().encode()
    hosts = [path for path in layout.root.rglob("*") if "host" in path.parts and path.is_file()]
    assert not [path for path in hosts if seed in path.read_bytes()]
    assert config_of(layout, "compute-0", "sapphire").debug_key == key.public_key
    assert config_of(layout, "keymanager-0", "keymanager").debug_key is None
    # It is measured: enclaves of a network with another key, or none, are other enclaves.
    without = DataLayout(tmp_path / "without")
    provision(without, replace(network, debug_key=False), {}, seed=b"provision")
    assert load_debug_key(without.debug_key) is None
    summaries = [
        json.loads((one.public / "network.json").read_text())["enclaves"]
        for one in (layout, without)
    ]
    assert summaries[0]["sapphire"] != summaries[1]["sapphire"]
    assert summaries[0]["keymanager"] == summaries[1]["keymanager"]


def test_gateways_have_keys_that_are_known_and_are_no_nodes(
    network: Network, layout: DataLayout
) -> None:
    genesis = genesis_of(layout)
    names = [paratime.gateway.name for paratime in network.paratime]
    keys = [load_node_key(layout.host(name)) for name in names]
    assert genesis.gateways == tuple(key.public_key for key in keys if key is not None)
    assert len(set(genesis.gateways)) == len(names)
    assert nodes_of_entities(genesis).isdisjoint(genesis.gateways)
    assert known_keys(genesis).issuperset(genesis.gateways)
    for name in names:
        assert stat.S_IMODE(layout.identity(name).stat().st_mode) == 0o600


def test_the_keys_that_sign_policies_are_kept_and_are_the_owners_only(layout: DataLayout) -> None:
    assert stat.S_IMODE(layout.policy_signers.stat().st_mode) == 0o600
    genesis = genesis_of(layout)
    manager = next(r for r in genesis.runtimes if r.kind is RuntimeKind.KEY_MANAGER)
    signers = load_policy_signers(layout.policy_signers)
    assert tuple(one.public_key for one in signers) == manager.policy_signers
    config = config_of(layout, "keymanager-0", "keymanager")
    assert config.policy_signers == manager.policy_signers
    assert config.policy_threshold == manager.policy_threshold == POLICY_THRESHOLD


def test_gas_is_charged_as_the_file_says(network: Network, tmp_path: Path) -> None:
    evms = tuple(replace(one, ethereum_gas=one.confidential) for one in network.paratime)
    layout = DataLayout(tmp_path / "gas")
    provision(layout, replace(network, paratime=evms), {}, seed=b"gas")
    runtimes = {one.id.hex(): one.genesis for one in genesis_of(layout).runtimes}
    for one in evms:
        genesis = runtimes[one.id]
        if one.is_evm and genesis is not None:
            assert decode_record(EvmGenesis, genesis).charges_for_size is not one.ethereum_gas
    charging = [one.name for one in evms if one.is_evm and not one.confidential]
    assert charging
    # Profile `dev` asks for it, an older chain keeps its rule, and who asks is told of which.
    assert charging_for_size(layout, with_profile(network, "dev")) == charging
    assert charging_for_size(layout, with_profile(network, "strict")) == []


def test_enclaves_of_paratimes_pin_who_may_edit_their_state(
    network: Network, layout: DataLayout, tmp_path: Path
) -> None:
    key = genesis_of(layout).dev_control_key
    assert key is not None
    assert config_of(layout, "compute-0", "sapphire").dev_control_key == key
    assert config_of(layout, "keymanager-0", "keymanager").dev_control_key is None
    closed = DataLayout(tmp_path / "closed")
    provision(closed, replace(network, dev_controls=False), {}, seed=b"closed")
    assert config_of(closed, "compute-0", "sapphire").dev_control_key is None
    assert not closed.unlocked_keys("gateway").exists()


def test_kept_keys_sign_a_policy_that_consensus_takes(layout: DataLayout) -> None:
    world = World(genesis_of(layout))
    signers = load_policy_signers(layout.policy_signers)
    (signed,) = world.genesis.policies
    newer = replace(decode_record(Policy, signed.untrusted_raw_value), serial=2)
    owner = load_identity(layout.host("consensus-0")).entity
    body = sign_policy(newer, signers)
    fee = Fee(100_000, 100_000)
    world.must(owner, Method.UPDATE_POLICY, body, fee=fee)
    status = world.load(KeyManagerStatus, state_keys.key_manager_status_key(newer.id))
    assert status.policy == body


def test_what_a_seeded_network_publishes_leads_to_no_key(
    layout: DataLayout, network: Network, tmp_path: Path
) -> None:
    again, other = DataLayout(tmp_path / "again"), DataLayout(tmp_path / "other")
    provision(again, network, {"0x" + "11" * 20: 5}, seed=b"provision")
    provision(other, network, {"0x" + "11" * 20: 5}, seed=b"provisioN")
    assert again.genesis.read_bytes() == layout.genesis.read_bytes()
    assert other.genesis.read_bytes() != layout.genesis.read_bytes()
    published = b"".join(path.read_bytes() for path in again.public.iterdir())
    summary = json.loads((again.public / "network.json").read_text())
    assert summary["is_replay"] is True
    for text in (b"provision", sha256(b"provision"), sha512_256(b"provision")):
        assert text not in published.replace(b"paratimes", b"")
        assert text.hex().encode() not in published
    for key in ("replay_seed", "seed"):
        assert key not in summary
    # A seed's own hash is not the network's chance either.
    naive = create_identity(SeededEntropy(sha256(b"provision")), "consensus-0")
    assert load_identity(again.host("consensus-0")).node.public_key != naive.node.public_key


def test_second_start_finds_the_network(network: Network, layout: DataLayout) -> None:
    assert not provision(layout, network, {}, seed=b"provision")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": "other"}, "not 'paratimes'"),
        ({"format": 1}, r"in data format 1; this version reads format \d+ only.*--wipe"),
        ({"enclaves": {"keymanager": "00"}}, "with the runtimes keymanager, not"),
    ],
)
def test_directory_of_another_network_is_refused(
    network: Network, layout: DataLayout, changes: dict[str, object], reason: str
) -> None:
    path = layout.public / "network.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | changes))
    try:
        with pytest.raises(OtherNetwork, match=reason):
            provision(layout, network, {})
    finally:
        path.write_text(before)


def test_directory_of_the_first_version_is_refused_with_what_to_do(
    network: Network, layout: DataLayout
) -> None:
    path = layout.public / "network.json"
    before = path.read_text()
    path.write_text('{"network": "paratimes", "code": "ab"}')
    try:
        with pytest.raises(OtherNetwork, match=r"format 1.*--wipe"):
            provision(layout, network, {})
    finally:
        path.write_text(before)


def test_directory_measured_from_other_code_is_refused(
    network: Network, layout: DataLayout
) -> None:
    path = layout.enclave_config("compute-0", "emerald")
    before = path.read_bytes()
    path.write_bytes(layout.enclave_config("compute-0", "sapphire").read_bytes())
    try:
        with pytest.raises(OtherNetwork, match="measured from other code"):
            provision(layout, network, {})
    finally:
        path.write_bytes(before)


def test_removing_refuses_a_directory_that_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(OtherNetwork, match="nothing was removed"):
        remove_data(tmp_path)
    assert (tmp_path / "precious").exists()


def test_timestamps_step_as_the_file_says(network: Network, tmp_path: Path) -> None:
    layout = DataLayout(tmp_path / "stepped")
    provision(layout, replace(network, block_time_step_s=3), {})
    assert genesis_of(layout).mining == Mining(step_s=3)
    verify_time_step(layout, 3)
    with pytest.raises(OtherNetwork, match="time step of 3 s"):
        verify_time_step(layout, 4)
    verify_time_step(DataLayout(tmp_path / "none"), 4)


def test_a_worker_has_keys_funds_and_a_token_from_the_start(tmp_path: Path) -> None:
    network = load_network(NETWORKS / "workers.toml")
    layout = DataLayout(tmp_path)
    provision(layout, replace(network, dev_controls=False), {"0x" + "11" * 20: 5})
    genesis = genesis_of(layout)
    identity = load_identity(layout.host("worker-0"))
    assert identity.node.public_key in nodes_of_entities(genesis)
    paratime = next(one for one in genesis.runtimes if one.id.hex() == network.paratime[0].id)
    assert paratime.genesis is not None
    seed = json.loads(layout.identity("worker-0").read_text())["node_seed"]
    funded = dict(decode_record(EvmGenesis, paratime.genesis).balances)
    assert int.from_bytes(funded[fee_key(bytes.fromhex(seed)).account], "big") > 10**21
    # Who operates it needs the token, whether or not the network has dev controls.
    assert len(layout.node_dev_token("worker-0").read_text()) == 64
    assert not layout.node_dev_token("compute-0").exists()
    assert config_of(layout, "worker-0", "sapphire") == worker_config(genesis, paratime.id)


def test_a_network_gets_no_workers_later(tmp_path: Path) -> None:
    network = load_network(NETWORKS / "workers.toml")
    provision(DataLayout(tmp_path), replace(network, worker=None), {})
    with pytest.raises(OtherNetwork, match=r"made without worker-0.*--wipe"):
        provision(DataLayout(tmp_path), network, {})
    # The other way they are not started.
    assert not provision(DataLayout(tmp_path), replace(network, worker=None), {})
