"""Accounts of a genesis file or of another chain's dump."""

import gzip
import json
from pathlib import Path

import pytest

from qanat.layout import DataLayout
from qanat.network import BadNetworkFile, load_network, with_genesis
from qanat.provision.genesis_file import BadGenesisFile, load_genesis_accounts
from qanat.provision.removal import OtherNetwork, verify_is_new
from tests.support.networks import ROOT

CONTRACT, OWNER = "0x" + "11" * 20, "22" * 20


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "genesis.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_geths_genesis_file_is_read(tmp_path: Path) -> None:
    alloc = {
        CONTRACT: {"balance": "0x0", "code": "0x6001", "storage": {"0x01": "0x2a", "0x02": "0x0"}},
        OWNER: {"balance": "1000000000000000000000", "nonce": "0x5"},
    }
    contract, owner = load_genesis_accounts(write(tmp_path, {"config": {}, "alloc": alloc}))
    assert (contract.address, contract.nonce, contract.code) == (b"\x11" * 20, 1, b"\x60\x01")
    assert contract.storage == ((1, 42),)
    assert (owner.balance, owner.nonce, owner.code, owner.storage) == (10**21, 5, b"", ())


def test_geths_dump_and_anvils_state_are_read(tmp_path: Path) -> None:
    slot = "0x" + "00" * 31 + "03"
    geth = {"balance": "7", "nonce": 2, "root": "0x", "code": "0x60", "storage": {slot: "1f"}}
    anvil = {"balance": "0x7", "nonce": 2, "code": "0x60", "storage": {slot: "0x1f"}}
    for fields in (geth, anvil):
        (found,) = load_genesis_accounts(write(tmp_path, {"accounts": {CONTRACT: fields}}))
        assert (found.balance, found.nonce, found.code) == (7, 2, b"\x60")
        assert found.storage == ((3, 31),)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        {"accounts": []},
        {"alloc": {"0x11": {}}},
        {"alloc": {CONTRACT: {"balance": "-1"}}},
        {"alloc": {CONTRACT: {"balance": True}}},
        {"alloc": {CONTRACT: {"balance": "0x1" + "0" * 64}}},
        {"alloc": {CONTRACT: {"code": "0x6"}}},
        {"alloc": {CONTRACT: {"storage": {"0x" + "1" * 65: "0x1"}}}},
        {"alloc": {CONTRACT: {}, CONTRACT[2:]: {}}},
        {"nothing": {}},
        "3",
    ],
)
def test_what_describes_no_accounts_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadGenesisFile):
        load_genesis_accounts(write(tmp_path, content))


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadGenesisFile, match=r"nowhere\.json"):
        load_genesis_accounts(tmp_path / "nowhere.json")


def test_path_is_from_the_network_files_folder(tmp_path: Path) -> None:
    text = (ROOT / "networks" / "default.toml").read_text()
    line = "evm_chain_id = 0x5afd\n"
    assert line in text
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(line, line + 'genesis = "state/dump.json"\n'))
    (paratime,) = load_network(file).paratime
    assert paratime.genesis == str(tmp_path / "state" / "dump.json")


def test_a_file_compressed_as_anvil_answers_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    dump = gzip.compress(json.dumps({"block": None, "accounts": {CONTRACT: {}}}).encode())
    path.write_bytes(dump)
    assert [one.address for one in load_genesis_accounts(path)] == [b"\x11" * 20]
    path.write_bytes(dump[:-9])
    with pytest.raises(BadGenesisFile, match="cut off"):
        load_genesis_accounts(path)


def test_the_only_evm_begins_with_a_file_that_is_named_on_the_command_line(tmp_path: Path) -> None:
    default = load_network(ROOT / "networks" / "default.toml")
    begun = with_genesis(default, tmp_path / "state.json")
    assert begun.paratime[0].genesis == str(tmp_path / "state.json")
    several = load_network(ROOT / "networks" / "paratimes.toml")
    for network in (begun, several):
        with pytest.raises(BadNetworkFile, match="in the network file"):
            with_genesis(network, tmp_path / "state.json")


def test_a_chain_that_has_begun_gets_no_other_genesis(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    verify_is_new(layout)
    layout.genesis.parent.mkdir()
    layout.genesis.touch()
    with pytest.raises(OtherNetwork, match="--wipe"):
        verify_is_new(layout)


def test_only_an_evm_has_one(tmp_path: Path) -> None:
    text = (ROOT / "networks" / "paratimes.toml").read_text()
    line = 'runtime = "python:examples.sealed_notes"\n'
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(line, line + 'genesis = "dump.json"\n'))
    with pytest.raises(BadNetworkFile, match="an EVM's only"):
        load_network(file)
