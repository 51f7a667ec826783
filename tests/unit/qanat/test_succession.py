"""A data directory that other code made goes over to the code of now."""

import json
from pathlib import Path

import pytest

from qanat import cpu
from qanat.cpu.platform_server import PlatformServer
from qanat.layout import DataLayout
from qanat.network import Network, load_network
from qanat.provision import succession
from qanat.provision.data_directory import provision
from qanat.provision.removal import OtherNetwork
from qanat.provision.succession import (
    enclave_places,
    load_succession,
    measure_again,
    take_over,
)
from shared.crypto.entropy import SystemEntropy
from shared.crypto.hashes import sha256
from shared.encoding.record import decode_record
from shared.tee.config import EnclaveConfig
from shared.tee.sealing import CannotUnseal, Sealer
from shared.types.attestation import EnclaveIdentity
from shared.types.registry import Version
from tests.support.networks import ROOT

NETWORK = """
name = "small"
chain_id = "qanat-small"
epoch_interval_s = 600
unsafe_mock_tee = true
dev_controls = true

[consensus]
nodes = ["consensus-0"]

[[key_manager]]
name = "keymanager"
id = "c000000000000000000000000000000000000000000000000000000000000000"
nodes = ["keymanager-0"]

[[paratime]]
name = "sapphire"
id = "8000000000000000000000000000000000000000000000000000000000000000"
runtime = "evm"
evm_chain_id = 0x5afd
key_manager = "keymanager"
nodes = ["compute-0", "compute-1"]
committee = {workers = 1, backup_workers = 1}
gateway = {name = "gateway", http_port = 8545, ws_port = 8546}

[[node]]
name = "compute-1"
can_lie = ["sapphire"]

[accounts]
mnemonic = "test test test test test test test test test test test junk"
count = 1
amount = 1
"""
SAPPHIRE, KEY_MANAGER = bytes([0x80]) + bytes(31), bytes([0xC0]) + bytes(31)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    file = tmp_path / "network.toml"
    file.write_text(NETWORK)
    return load_network(file)


@pytest.fixture
def layout(network: Network, tmp_path: Path) -> DataLayout:
    layout = DataLayout(tmp_path / "data")
    provision(layout, network, {"0x" + "11" * 20: 5}, seed=b"succession")
    return layout


def change_code(monkeypatch: pytest.MonkeyPatch, service: str, change: bytes) -> None:
    """Measure a service's enclaves as if their code were another."""
    measured = cpu.measure_enclave

    def measure(of: str, config: bytes) -> EnclaveIdentity:
        found = measured(of, config)
        if of != service:
            return found
        return EnclaveIdentity(sha256(found.mr_enclave + change), found.mr_signer)

    monkeypatch.setattr(succession.cpu, "measure_enclave", measure)


def enclaves_of(layout: DataLayout) -> dict[str, str]:
    summary = json.loads((layout.public / "network.json").read_text())
    found: dict[str, str] = summary["enclaves"]
    return found


def sealer(layout: DataLayout, node: str, mr_enclave: str) -> Sealer:
    platform = cpu.PlatformFile.from_bytes(layout.platform(node).read_bytes())
    identity = EnclaveIdentity(bytes.fromhex(mr_enclave), bytes(32))
    return Sealer(PlatformServer(platform, identity, b""), SystemEntropy())


def version_of(layout: DataLayout, node: str, runtime: str) -> Version:
    config = layout.enclave_config(node, runtime).read_bytes()
    return decode_record(EnclaveConfig, config).version


def test_under_the_same_code_nothing_changes(layout: DataLayout, network: Network) -> None:
    before = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    assert not take_over(layout, network)
    assert before == {p: p.read_bytes() for p in layout.root.rglob("*") if p.is_file()}


def test_enclaves_of_other_code_get_a_version_and_open_what_was_sealed(
    layout: DataLayout, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = enclaves_of(layout)
    sealed = sealer(layout, "compute-0", old["sapphire"]).seal(b"test", b"secret")
    change_code(monkeypatch, "compute", b"1")
    assert take_over(layout, network)
    new = enclaves_of(layout)
    assert new == measure_again(layout, network)
    assert new["keymanager"] == old["keymanager"]
    assert new["sapphire"] != old["sapphire"]
    assert sealer(layout, "compute-0", new["sapphire"]).unseal(b"test", sealed) == b"secret"
    assert version_of(layout, "compute-0", "sapphire") == Version(0, 1, 1)
    assert version_of(layout, "keymanager-0", "keymanager") == Version(0, 1, 0)
    # What else runs there opens nothing of it.
    for stranger in (old["keymanager"], "ab" * 32):
        with pytest.raises(CannotUnseal):
            sealer(layout, "compute-0", stranger).unseal(b"test", sealed)
    assert layout.platform("compute-0").stat().st_mode & 0o777 == 0o600


def test_consensus_is_to_be_told_of_the_honest_enclave_and_of_the_one_that_lies(
    layout: DataLayout, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = enclaves_of(layout)
    change_code(monkeypatch, "compute", b"1")
    take_over(layout, network)
    new, due = enclaves_of(layout), load_succession(layout)
    (told,) = due.runtimes
    assert (told.runtime_id, told.version) == (SAPPHIRE, Version(0, 1, 1))
    assert [one.mr_enclave.hex() for one in told.enclaves] == [new["sapphire"], new["sapphire!"]]
    assert {key.hex(): one.mr_enclave.hex() for key, one in due.goes_on_as.items()} == {
        old[name]: new[name] for name in ("sapphire", "sapphire!")
    }


def test_a_succession_goes_on_to_the_newest_code_though_consensus_never_heard_of_it(
    layout: DataLayout, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = enclaves_of(layout)
    sealed = sealer(layout, "keymanager-0", first["keymanager"]).seal(b"test", b"secret")
    change_code(monkeypatch, "keymanager", b"1")
    take_over(layout, network)
    second = enclaves_of(layout)
    monkeypatch.undo()
    change_code(monkeypatch, "keymanager", b"2")
    take_over(layout, network)
    third, due = enclaves_of(layout), load_succession(layout)
    assert [(one.runtime_id, one.version) for one in due.runtimes] == [
        (KEY_MANAGER, Version(0, 1, 2))
    ]
    assert {key.hex(): one.mr_enclave.hex() for key, one in due.goes_on_as.items()} == {
        first["keymanager"]: third["keymanager"],
        second["keymanager"]: third["keymanager"],
    }
    opened = sealer(layout, "keymanager-0", third["keymanager"]).unseal(b"test", sealed)
    assert opened == b"secret"


def test_a_network_file_with_other_runtimes_is_refused(layout: DataLayout) -> None:
    with pytest.raises(OtherNetwork):
        take_over(layout, load_network(ROOT / "networks" / "default.toml"))


def test_every_enclave_of_a_network_has_a_place(network: Network) -> None:
    assert {(one.node, one.name) for one in enclave_places(network)} == {
        ("keymanager-0", "keymanager"),
        ("compute-0", "sapphire"),
        ("compute-1", "sapphire!"),
    }
