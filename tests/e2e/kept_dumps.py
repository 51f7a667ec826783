"""
Dumps that are kept: one of each version that was ever written, with what was in its network.

Made by the code of that version, while it still is the newest:

    python -m tests.e2e.kept_dumps

Beside a dump lies what its network answered before it was written. A version without a dump fails
`tests/unit/qanat/test_kept_dumps.py`; one that does not load, `tests/e2e/test_kept_dumps.py`.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qanat.dump import FORMAT
from qanat.paratime.client import ParaTimeClient
from qanat.paratime.signing import Account
from qanat.provision.data_directory import FORMAT as DATA_FORMAT
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, RunningNetwork

FOLDER = ROOT / "tests" / "vectors" / "dumps"
NETWORK = FOLDER / "network.toml"
ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)
SECRET, TOLD, NOTE = b"kept in a dump", b"told in the open", "a note that a dump keeps"
SUPPLY, SENT = 1_000_000, 17
GATEWAYS = {"sapphire": 0, "emerald": 100, "notes": 10}
"""Ports of the network file, as distances from its first."""


@dataclass(frozen=True)
class KeptDump:
    """One of them."""

    file: Path
    format: int
    data_format: int

    @property
    def told(self) -> dict[str, Any]:
        """What its network answered."""
        answers: dict[str, Any] = json.loads(self.file.with_suffix(".json").read_text())
        return answers

    @property
    def name(self) -> str:
        return self.file.stem


class GatewayOf(RunningNetwork):
    """The gateway of one ParaTime of a network."""

    kind = "processes"


def list_kept() -> tuple[KeptDump, ...]:
    """Every dump that is kept, oldest first."""
    found = []
    for file in FOLDER.glob("*.dump"):
        _, format_, _, data_format = file.stem.split("-")
        found.append(KeptDump(file, int(format_), int(data_format)))
    return tuple(sorted(found, key=lambda one: (one.format, one.data_format)))


def gateway_of(network: ProcessNetwork, paratime: str) -> GatewayOf:
    return GatewayOf(network.http_port + GATEWAYS[paratime])


def ask_chain(gateway: RunningNetwork, told: dict[str, Any]) -> dict[str, Any]:
    """Ask again what `fill_chain` noted down; the same on every version, whatever came later."""
    height = told["block"]["number"]
    return {
        "block": gateway.rpc("eth_getBlockByNumber", height, True),
        "receipts": [
            gateway.rpc("eth_getTransactionReceipt", one["transactionHash"])
            for one in told["receipts"]
        ],
        "balances": {
            address: gateway.rpc("eth_getBalance", address, height) for address in told["balances"]
        },
        "nonces": {
            address: gateway.rpc("eth_getTransactionCount", address, height)
            for address in told["nonces"]
        },
        "code": {address: gateway.rpc("eth_getCode", address, height) for address in told["code"]},
        "logs": gateway.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": height}),
    }


def fill_chain(gateway: RunningNetwork, *, confidential: bool) -> dict[str, Any]:
    """Send a few transactions of each kind; what the chain says of itself afterwards."""
    web3, plain = connect(gateway, encrypted=confidential), connect(gateway, encrypted=False)
    owner, other = str(plain.eth.default_account), "0x" + "77" * 20
    vault, token = deploy(web3, "Vault"), deploy(plain, "Token", SUPPLY)
    hashes = [
        send(web3, vault.functions.store(SECRET))["transactionHash"],
        send(plain, token.functions.transfer(other, SENT))["transactionHash"],
        plain.eth.send_transaction({"to": other, "value": 5, "gasPrice": 100 * 10**9}),
    ]
    told = {
        "receipts": [{"transactionHash": one.to_0x_hex()} for one in hashes],
        "balances": [owner, other],
        "nonces": [owner],
        "code": [vault.address, token.address],
        "block": {"number": hex(gateway.block_number())},
    }
    return ask_chain(gateway, told) | {"vault": vault.address, "token": token.address}


def fill_notes(gateway: RunningNetwork) -> dict[str, Any]:
    with ParaTimeClient(gateway.url, ALICE) as alice:
        number = alice.send("notes.Write", NOTE)
        alice.send("notes.Share", {"note": number, "reader": BOB.address})
    return {"note": number}


def make() -> None:
    """Write the dump of the version that this code is, and what lies beside it."""
    file = FOLDER / f"format-{FORMAT}-data-{DATA_FORMAT}.dump"
    with tempfile.TemporaryDirectory() as folder:
        network = ProcessNetwork(Path(folder) / "data", 8545, NETWORK)
        network.up()
        try:
            told = {
                name: fill_chain(gateway_of(network, name), confidential=name == "sapphire")
                for name in ("sapphire", "emerald")
            }
            told["notes"] = fill_notes(gateway_of(network, "notes"))
        finally:
            network.down()
            network.close()
        # Of a network that stands: its stores are smaller then.
        network.cli("dump", str(file))
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), 9, mtime=0))
    command = ["git", "describe", "--always", "--abbrev=12"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    source = f"python -m tests.e2e.kept_dumps, by {commit.strip()}"
    file.with_suffix(".json").write_text(json.dumps({"source": source} | told, indent=1) + "\n")
    print(f"wrote {file}, {file.stat().st_size / 1024:.0f} KiB", file=sys.stderr)


if __name__ == "__main__":
    make()
