"""A real CometBFT over the application on the ABCI socket; skipped where none is installed."""

import base64
import datetime as dt
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from shared.rules.headers import validator_address
from tests.support.applications import CONSENSUS, GENESIS
from tests.support.chains import POWER, SIGNER
from tests.support.networks import ROOT, wait_for

COMETBFT = os.environ.get("QANAT_COMETBFT") or shutil.which("cometbft")
PATIENCE_S = 60
pytestmark = [
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.skipif(
        COMETBFT is None,
        reason="no cometbft (go install github.com/cometbft/cometbft/cmd/cometbft@v0.39.4)",
    ),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Validator:
    """One validator: CometBFT and the application, each a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.home = directory, directory / "home"
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._write_files()

    def _write_files(self) -> None:
        (self.home / "config").mkdir(parents=True)
        (self.home / "data").mkdir()
        public = {"type": "tendermint/PubKeyEd25519", "value": text_of(SIGNER.public_key)}
        key = text_of(b"\x07" * 32 + SIGNER.public_key)
        private = {"type": "tendermint/PrivKeyEd25519", "value": key}
        address = validator_address(SIGNER.public_key).hex().upper()
        began = dt.datetime.fromtimestamp(GENESIS.time_ns // 10**9, dt.UTC)
        files = {
            "config/priv_validator_key.json": {
                "address": address, "pub_key": public, "priv_key": private,
            },
            "config/node_key.json": {"priv_key": private},
            "data/priv_validator_state.json": {"height": "0", "round": 0, "step": 0},
            "config/genesis.json": {
                "genesis_time": f"{began:%Y-%m-%dT%H:%M:%S}.{GENESIS.time_ns % 10**9:09}Z",
                "chain_id": GENESIS.chain_id,
                "initial_height": "1",
                "validators": [
                    {"address": address, "pub_key": public, "power": str(POWER), "name": ""}
                ],
                "app_hash": "",
                "app_state": CONSENSUS.document.hex(),
            },
        }  # fmt: skip
        for name, content in files.items():
            (self.home / name).write_text(json.dumps(content))
        (self.home / "config/config.toml").write_text(
            f'proxy_app = "unix://{self.directory}/abci.sock"\n'
            f'[rpc]\nladdr = "tcp://127.0.0.1:{self.port}"\n'
            f'[p2p]\nladdr = "tcp://127.0.0.1:{free_port()}"\npex = false\n'
            '[consensus]\ntimeout_commit = "0s"\nskip_timeout_commit = true\n'
            'create_empty_blocks = false\ncreate_empty_blocks_interval = "1s"\n'
            '[tx_index]\nindexer = "null"\n'
        )

    def start(self) -> None:
        path, state = self.directory / "abci.sock", self.directory / "application.sqlite"
        self._spawn(
            sys.executable, "-m", "services.consensus.abci_socket",
            "--socket", path, "--database", state,
        )  # fmt: skip
        wait_for(path.exists, PATIENCE_S, "the application listens")
        self._spawn(COMETBFT, "node", "--home", self.home)

    def _spawn(self, *command) -> None:
        with (self.directory / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))

    def kill(self) -> None:
        """End both at once, the application first: the engine is in the middle of something."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
        self.processes.clear()
        (self.directory / "abci.sock").unlink(missing_ok=True)

    def ask(self, method: str, **params):
        return self.client.get(f"/{method}", params=params).json()["result"]

    def height(self) -> int:
        return int(self.ask("status")["sync_info"]["latest_block_height"])

    def send(self, raw: bytes):
        return self.ask("broadcast_tx_sync", tx="0x" + raw.hex())

    def until_height(self, height: int) -> None:
        wait_for(lambda: self.height() >= height, PATIENCE_S, f"height {height}")


@pytest.fixture
def validator(tmp_path: Path) -> Iterator[Validator]:
    validator = Validator(tmp_path)
    validator.start()
    yield validator
    validator.kill()
    validator.client.close()


def test_cometbft_makes_blocks_of_our_transactions_and_goes_on_after_a_kill(validator):
    validator.until_height(2)
    for raw in CONSENSUS.first:
        assert validator.send(raw)["code"] == 0
    refused = validator.send(CONSENSUS.bad[3])
    assert (refused["code"], refused["codespace"]) == (1, "crypto")
    before = validator.height()
    validator.until_height(before + 2)
    mined = [
        validator.ask("block", height=height)["block"]["data"]["txs"]
        for height in range(1, validator.height() + 1)
    ]
    # The last transaction of each block carries the root of the state after it.
    assert [tx for txs in mined for tx in txs[:-1]] == [text_of(raw) for raw in CONSENSUS.first]
    validator.kill()
    validator.start()
    validator.until_height(before + 4)
    assert validator.send(CONSENSUS.first[0])["code"] != 0, "a nonce that is spent"
