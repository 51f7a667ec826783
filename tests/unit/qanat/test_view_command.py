"""With which debug key `qanat view` and `qanat tx` ask: one rule for both."""

import pytest
from typer.testing import CliRunner

from qanat import cli
from qanat.observe import NotRunning
from qanat.provision.debug_key import BadDebugKey, save_debug_key
from shared.crypto.signing import Signer

OF_DATA, OF_FILE = bytes([1]) * 32, bytes([2]) * 32
URL = "http://gateway.example:8545"
HASH = "0x" + "ab" * 32
COMMANDS = (["view"], ["tx", HASH])


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Runs a command; the debug key with which it would ask."""
    save_debug_key(tmp_path / "debug-key", OF_DATA)
    save_debug_key(tmp_path / "other-key", OF_FILE)
    keys = []

    async def serve(options, _):
        keys.append(options.debug_key)

    async def look(_client, _hash, wanted):
        keys.append(wanted.debug_key)
        raise NotRunning("enough")

    def find(*_):
        raise NotRunning("no network runs")

    monkeypatch.setattr("qanat.view.serve.serve_view", serve)
    monkeypatch.setattr("qanat.transaction.look_at", look)
    monkeypatch.setattr("qanat.view.commands.find_network", find)
    monkeypatch.setattr("qanat.tx_command.find_network", find)

    def run(*arguments):
        done = CliRunner().invoke(cli.app, [*arguments, "--data", str(tmp_path)])
        if not keys:
            raise done.exception
        return keys.pop()

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_another_gateway_is_asked_with_the_key_of_the_data(ask, monkeypatch, command):
    def find(*_):
        raise AssertionError("the network that runs here is none of this command's business")

    monkeypatch.setattr("qanat.view.commands.find_network", find)
    assert ask(*command, "--gateway", URL).public_key == Signer(OF_DATA).public_key


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_named_goes_before(ask, tmp_path, command):
    file = str(tmp_path / "other-key")
    found = ask(*command, "--gateway", URL, "--debug-key", file)
    assert found.public_key == Signer(OF_FILE).public_key


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_there_is_an_error(ask, tmp_path, command):
    with pytest.raises(BadDebugKey, match="no such file"):
        ask(*command, "--gateway", URL, "--debug-key", str(tmp_path / "nothing"))


def test_view_of_a_network_that_does_not_run_has_the_key_of_the_data(ask):
    assert ask("view").public_key == Signer(OF_DATA).public_key
