"""
Deploys the contracts that every chain has, each by its own transaction or from its package.

On an empty public chain with Ethereum's chain id, so that what comes out is what Ethereum has. Run
it to write `crates/evm-core/data/predeployed` again: `python -m tests.support.predeployed`.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import cbor2
import evm_native as native
from eth_account import Account

from shared.crypto.hashes import keccak256
from tests.support.networks import ROOT
from tests.unit.native.chain import ACCOUNTS, ETHER, GWEI, address, environment

VECTORS = ROOT / "tests" / "vectors" / "predeployed.json"
DATA = ROOT / "crates" / "evm-core" / "data" / "predeployed"
MAINNET = 1
CREATE2_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
BATCH_GAS = 60_000_000


@dataclass(frozen=True)
class Deployed:
    """A contract as its deployment left it."""

    name: str
    address: bytes
    nonce: int
    code: bytes
    code_hash: bytes


def load_vectors() -> list[dict[str, Any]]:
    """What to deploy, in order, with sources."""
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())["contracts"]
    return found


def deploy_all() -> list[Deployed]:
    """Deploy everything; each must land at its canonical address."""
    store = native.Store.memory()
    config = native.ChainConfig(
        chain_id=MAINNET, confidential=False, batch_gas_limit=BATCH_GAS, initial_min_gas_price=1
    )
    engine = native.Engine(config, store)
    vectors = load_vectors()
    rich = [address(ACCOUNTS[0])]
    rich += [
        bytes.fromhex(Account.recover_transaction(one["transaction"])[2:])
        for one in vectors
        if "transaction" in one
    ]
    genesis = [(one, 1_000 * ETHER) for one in rich]
    engine.execute(environment(1), [], genesis=genesis, strict=True).persist()
    for one in vectors:
        raw = _transaction(engine, one)
        block = engine.execute(environment(store.version + 1), [raw], strict=True)
        block.persist()
        result = cbor2.loads(block.results[0])
        assert result["error"] is None, (one["name"], result["error"])
    return [
        Deployed(
            made["name"],
            bytes.fromhex(made["address"][2:]),
            engine.account(bytes.fromhex(made["address"][2:]))[0],
            code := engine.code(bytes.fromhex(made["address"][2:])),
            keccak256(code),
        )
        for one in vectors
        for made in (one, *one.get("creates", ()))
    ]


def _transaction(engine: native.Engine, one: dict[str, Any]) -> bytes:
    if "transaction" in one:
        return bytes.fromhex(one["transaction"][2:])
    nonce, _ = engine.account(address(ACCOUNTS[0]))
    fields = {
        "nonce": nonce,
        "gas": 20_000_000,
        "gasPrice": 100 * GWEI,
        "value": 0,
        "to": CREATE2_DEPLOYER,
        "data": one["salt"] + one["init_code"][2:],
        "chainId": MAINNET,
    }
    return bytes(ACCOUNTS[0].sign_transaction(fields).raw_transaction)


def main() -> None:
    """Write the data again, and say what stands in the table of `predeployed.rs`."""
    DATA.mkdir(parents=True, exist_ok=True)
    for one in deploy_all():
        (DATA / f"{one.name}.bin").write_bytes(one.code)
        print(one.name, "0x" + one.address.hex(), one.nonce, len(one.code), one.code_hash.hex())
    print(hashlib.sha256(VECTORS.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
