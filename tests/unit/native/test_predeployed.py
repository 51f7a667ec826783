"""Contracts that every chain has: their bytes are those of their own deployment, and they work."""

from collections.abc import Iterator
from typing import Any

import evm_native as native
import pytest
from eth_abi import decode, encode
from web3 import Web3

from shared.crypto.hashes import keccak256
from tests.support.predeployed import Deployed, deploy_all, load_vectors
from tests.unit.native.chain import (
    ACCOUNTS,
    CHAIN_ID,
    ETHER,
    GWEI,
    Chain,
    address,
    environment,
    state_key,
)

ETHEREUMS = {
    "create2_deployer": "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
    "multicall3": "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
    "createx": "bd8a7ea8cfca7b4e5f5041d7d4b17bc317c5ce42cfbc42066a00cf26b43eb53f",
    "permit2": "c67d1657868aa5146eaf24fb879fb1fdec3d2d493b3683a61c9c2f4fb2851131",
}
"""Code hashes on Ethereum, as CreateX's README, multicall3.com and explorers give them."""
STORED = b"\x60\x2a\x60\x00\x52\x60\x20\x60\x00\xf3"
"""Init code whose contract is the 32 bytes of 42."""


@pytest.fixture(scope="module")
def deployed() -> dict[str, Deployed]:
    return {one.name: one for one in deploy_all()}


@pytest.fixture
def chain() -> Iterator[Chain]:
    """A confidential chain that has them."""
    store = native.Store.memory()
    config = native.ChainConfig(chain_id=CHAIN_ID)
    engine = native.Engine(config, store, state_key=state_key)
    genesis: list[Any] = [(address(ACCOUNTS[0]), 1_000 * ETHER), *native.predeployed()]
    engine.execute(environment(1), [], genesis=genesis, strict=True).persist()
    yield Chain(store)


def at(name: str) -> bytes:
    listed = [made for one in load_vectors() for made in (one, *one.get("creates", ()))]
    (found,) = [one["address"] for one in listed if one["name"] == name]
    return bytes.fromhex(found[2:])


def selector(signature: str) -> bytes:
    return bytes(Web3.keccak(text=signature)[:4])


def test_bytes_are_those_of_their_own_deployment(deployed: dict[str, Deployed]) -> None:
    given = {one[0]: one for one in native.predeployed()}
    assert given.keys() == {one.address for one in deployed.values()}
    for one in deployed.values():
        _, balance, nonce, code, storage = given[one.address]
        assert code == one.code, one.name
        assert (balance, storage) == (0, ()), one.name
        # That of the deployer counts what was deployed here.
        assert nonce == (1 if one.name == "create2_deployer" else one.nonce), one.name


def test_bytes_are_those_of_ethereum(deployed: dict[str, Deployed]) -> None:
    assert {name: deployed[name].code_hash.hex() for name in ETHEREUMS} == ETHEREUMS


def test_deployer_creates_where_it_says(chain: Chain) -> None:
    salt = bytes(31) + b"\x07"
    fields = {"to": at("create2_deployer"), "data": salt + STORED, "gas": 200_000}
    (result,) = chain.run(chain.sign(**fields))
    assert result["error"] is None
    expected = keccak256(b"\xff" + at("create2_deployer") + salt + keccak256(STORED))[12:]
    assert chain.engine.code(expected) == bytes(31) + b"\x2a"


def test_multicall_answers_several_calls_at_once(chain: Chain) -> None:
    multicall = at("multicall3")
    calls = [(multicall, True, selector("getChainId()")), (multicall, True, selector("nope()"))]
    data = selector("aggregate3((address,bool,bytes)[])") + encode(
        ["(address,bool,bytes)[]"], [[(f"0x{to.hex()}", may, call) for to, may, call in calls]]
    )
    (answers,) = decode(["(bool,bytes)[]"], chain.query(multicall, data))
    assert answers[0] == (True, CHAIN_ID.to_bytes(32, "big"))
    assert answers[1][0] is False


def test_permit2_signs_for_this_chain_and_not_for_ethereum(chain: Chain) -> None:
    hashed = [
        bytes(Web3.keccak(text=text))
        for text in (
            "EIP712Domain(string name,uint256 chainId,address verifyingContract)",
            "Permit2",
        )
    ]
    domain = encode(
        ["bytes32", "bytes32", "uint256", "address"],
        [*hashed, CHAIN_ID, f"0x{at('permit2').hex()}"],
    )
    assert chain.query(at("permit2"), selector("DOMAIN_SEPARATOR()")) == keccak256(domain)


@pytest.mark.parametrize("version", ["0_7", "0_8"])
def test_entry_point_knows_its_sender_creator_and_takes_deposits(
    chain: Chain, version: str
) -> None:
    entry_point = at(f"entry_point_{version}")
    owner = address(ACCOUNTS[0])
    data = selector("depositTo(address)") + owner.rjust(32, b"\x00")
    (result,) = chain.run(chain.sign(to=entry_point, data=data, value=5 * GWEI, gas=200_000))
    assert result["error"] is None
    asked = selector("balanceOf(address)") + owner.rjust(32, b"\x00")
    assert int.from_bytes(chain.query(entry_point, asked)) == 5 * GWEI
    if version == "0_8":
        answer = chain.query(entry_point, selector("senderCreator()"))
        assert answer[12:] == at("sender_creator_0_8")


@pytest.mark.parametrize("is_confidential", [True, False])
def test_account_of_genesis_has_its_code_nonce_and_storage(is_confidential: bool) -> None:
    store = native.Store.memory()
    config = native.ChainConfig(chain_id=CHAIN_ID, confidential=is_confidential)
    keys = state_key if is_confidential else None
    engine = native.Engine(config, store, state_key=keys)
    # PUSH1 1 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
    reads_slot_1 = bytes.fromhex("6001545f5260205ff3")
    whole = (b"\x11" * 20, 7, 3, reads_slot_1, ((1, 2**255 + 9), (2, 0)))
    block = engine.execute(environment(1), [], genesis=[whole], strict=True)
    assert (2**255 + 9).to_bytes(32, "big") in block.diff or is_confidential
    assert (2**255 + 9).to_bytes(32, "big") not in block.diff or not is_confidential
    block.persist()
    assert engine.account(b"\x11" * 20) == (3, 7)
    answer = engine.call(
        environment(2),
        version=1,
        caller=bytes(20),
        to=b"\x11" * 20,
        gas=100_000,
        gas_price=0,
        value=0,
        data=b"",
    )
    assert int.from_bytes(answer) == 2**255 + 9
