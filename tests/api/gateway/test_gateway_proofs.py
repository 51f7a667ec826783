"""`eth_getProof`: what it proves under the blocks of a public ParaTime, and where it is refused."""

import json
import lzma
from pathlib import Path

import pytest

from services.gateway.probe import PlainCallProbe
from shared.crypto.hashes import keccak256
from shared.types.evm import EvmQuery
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.json_schema import faults_of
from tests.support.merkle_patricia import verify
from tests.support.signing import sign
from tests.support.turns import until

CHAIN_ID = 0xA514
SHELF = "6020355f355500"
"""Stores the second word of calldata in the slot that the first one names."""
NOBODY = "0x" + "ee" * 20
VECTORS = Path(__file__).parents[2] / "vectors" / "execution-apis.json.xz"
SCHEMA = json.loads(lzma.decompress(VECTORS.read_bytes()))["results"]["eth_getProof"]
PUBLIC = {"confidential": False, "chain_id": CHAIN_ID, "unsafe_dev_controls": True}


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    async with running_gateway(
        tmp_path, chain=chain, nodes=2, probe=PlainCallProbe(), **PUBLIC
    ) as running:
        yield running


async def send(gateway, nonce, **fields) -> dict:
    fields = {"value": 0, "gas": 500_000, "chainId": CHAIN_ID} | fields
    hash_ = await gateway.send(sign(nonce, **fields))
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert receipt["status"] == "0x1"
    return receipt


@pytest.fixture
async def shelf(gateway):
    code = bytes.fromhex(SHELF)
    init = bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code
    return (await send(gateway, 0, to=b"", data=init))["contractAddress"]


async def put(gateway, nonce, shelf, slot, value) -> str:
    """Block in which a slot has a value."""
    data = slot.to_bytes(32, "big") + value.to_bytes(32, "big")
    return (await send(gateway, nonce, to=shelf, data=data))["blockNumber"]


async def proven(gateway, account, keys, block="latest") -> tuple[dict, dict[str, int]]:
    """An answer that holds under the block's own state root, and its slots."""
    proof = await gateway.rpc("eth_getProof", account, keys, block)
    assert not list(faults_of(SCHEMA, proof, "result"))
    shown = await gateway.rpc("eth_getBlockByNumber", block, False)
    return proof, verify(proof, shown["stateRoot"])


async def test_accounts_and_slots_hold_under_the_root_of_each_block(gateway, shelf):
    blocks = [await put(gateway, nonce, shelf, nonce, 100 + nonce) for nonce in range(1, 20)]
    proof, slots = await proven(gateway, shelf, [hex(n) for n in range(1, 21)])
    assert slots == {hex(n): 100 + n if n < 20 else 0 for n in range(1, 21)}
    assert proof["codeHash"] == "0x" + keccak256(bytes.fromhex(SHELF)).hex()
    _, before = await proven(gateway, shelf, ["0x1", "0x2"], blocks[0])
    assert before == {"0x1": 101, "0x2": 0}
    for account in (FIRST_ADDRESS, SECOND_ADDRESS, NOBODY):
        proof, _ = await proven(gateway, account, [])
        assert proof["balance"] == await gateway.rpc("eth_getBalance", account, "latest")
        assert proof["nonce"] == await gateway.rpc("eth_getTransactionCount", account, "latest")


async def test_an_emptied_slot_is_proven_absent_and_its_trie_is_empty(gateway, shelf):
    await put(gateway, 1, shelf, 7, 9)
    await put(gateway, 2, shelf, 7, 0)
    proof, slots = await proven(gateway, shelf, ["0x" + "00" * 31 + "07"])
    assert list(slots.values()) == [0]
    assert proof["storageProof"][0]["proof"] == []


async def test_edits_of_the_owner_are_in_the_trie(gateway):
    value = "0x" + "ab" * 32
    await gateway.rpc("hardhat_setBalance", NOBODY, "0x64")
    await gateway.rpc("hardhat_setStorageAt", NOBODY, "0x3", value)
    await gateway.rpc("hardhat_setCode", NOBODY, "0x5f")
    proof, slots = await proven(gateway, NOBODY, ["0x3"])
    assert (proof["balance"], slots["0x3"]) == ("0x64", int(value, 16))


async def test_every_account_is_put_into_the_tries(gateway, shelf):
    await put(gateway, 1, shelf, 7, 9)
    before = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    number = await gateway.rpc("qanat_keepProofs")
    shown = await gateway.rpc("eth_getBlockByNumber", number, True)
    assert bytes.fromhex(shown["transactions"][0]["input"][2:]) == b"edit: names"
    # All were there already: nothing but the owner's own nonce has changed.
    assert shown["stateRoot"] != before["stateRoot"]
    _, slots = await proven(gateway, shelf, ["0x7"], number)
    assert slots["0x7"] == 9


async def test_a_confidential_paratime_has_no_tries_to_keep(tmp_path):
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as gateway:
        assert "ciphertext" in (await gateway.error("qanat_keepProofs"))["message"]


async def test_rounds_without_a_change_keep_the_root(gateway, shelf):
    number = await put(gateway, 1, shelf, 1, 1)
    block = await gateway.rpc("eth_getBlockByNumber", number, False)
    gateway.chain.advance_epoch()
    gateway.chain.skip_round()
    await gateway.until_round(gateway.chain.newest.round)
    empty = await gateway.mine()
    later = await gateway.rpc("eth_getBlockByNumber", hex(empty), False)
    assert later["stateRoot"] == block["stateRoot"]
    assert (await proven(gateway, shelf, ["0x1"]))[1] == {"0x1": 1}


async def test_a_rewound_chain_has_the_roots_of_its_new_life(gateway, shelf):
    await put(gateway, 1, shelf, 1, 5)
    kept = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    snapshot = int(kept["number"], 16)
    await put(gateway, 2, shelf, 1, 6)
    gateway.chain.rewind(snapshot)
    gateway.chain.advance_epoch()
    await until(lambda: gateway.node.index.newest.header == gateway.chain.newest)
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    assert block["stateRoot"] == kept["stateRoot"]
    assert (await proven(gateway, shelf, ["0x1"]))[1] == {"0x1": 5}


async def test_the_roots_are_found_after_a_restart(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    start = {"chain": chain, "probe": PlainCallProbe(), **PUBLIC}
    async with running_gateway(tmp_path, **start) as gateway:
        await send(gateway, 0, to=bytes.fromhex(NOBODY[2:]), value=1)
        before = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    async with running_gateway(tmp_path, **start) as gateway:
        assert await gateway.rpc("eth_getBlockByNumber", "latest", False) == before
        chain.advance_epoch()
        await gateway.until_round(chain.newest.round)
        proof, _ = await proven(gateway, NOBODY, [])
        assert proof["balance"] == "0x1"


async def test_the_block_hash_stays_that_of_the_paratimes_own_header(gateway, shelf):
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    header = gateway.chain.newest
    assert block["hash"] == "0x" + header.hash().hex()
    assert block["stateRoot"] != "0x" + header.state_root.hex()


async def test_a_node_with_a_proof_of_another_state_is_passed_over(gateway, shelf):
    await put(gateway, 1, shelf, 1, 5)
    liar = gateway.computes[0]
    honest = liar.query

    async def query(method, args, round=None):  # noqa: A002
        at = round - 1 if method == EvmQuery.PROOF else round
        return await honest(method, args, at)

    liar.query = query
    for _ in range(4):
        assert (await proven(gateway, shelf, ["0x1"]))[1] == {"0x1": 5}


async def test_before_the_first_round_there_is_no_trie(gateway):
    error = await gateway.error("eth_getProof", FIRST_ADDRESS, [], "0x0")
    assert "no proof of this account" in error["message"]
    error = await gateway.error("eth_getProof", FIRST_ADDRESS, [], "0xffff")
    assert error["message"] == "header not found"


@pytest.mark.parametrize("keys", ["0x0", ["0x" + "0" * 65], ["0xzz"], [7], ["0x0"] * 1025], ids=str)
async def test_keys_that_are_none_are_refused(gateway, keys):
    error = await gateway.error("eth_getProof", FIRST_ADDRESS, keys, "latest")
    assert error["code"] == -32602


async def test_a_confidential_paratime_refuses_with_the_reason(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
        assert block["stateRoot"] == "0x" + gateway.chain.newest.state_root.hex()
        error = await gateway.error("eth_getProof", FIRST_ADDRESS, [], "latest")
        assert "keep secrets" in error["message"]
