"""The engine as Python sees it."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cbor2
import evm_native as native
import pytest
from eth_account import Account

from tests.unit.native.chain import (
    ACCOUNTS,
    CELL,
    CHAIN_ID,
    ECHO,
    ETHER,
    GWEI,
    Chain,
    address,
    deployer,
    encrypt,
    environment,
)

FRESH = "0x" + "99" * 20


def test_check_gives_what_a_pool_needs() -> None:
    chain = Chain()
    raw = chain.sign(to=FRESH, nonce=3, gas=50_000)
    good, bad = chain.engine.check([raw, b"garbage"])
    assert isinstance(good, native.TxInfo)
    assert (good.hash, good.sender) == (native.keccak256(raw), address(ACCOUNTS[0]))
    assert (good.nonce, good.account_nonce, good.gas, good.size) == (3, 0, 50_000, len(raw))
    assert good.gas_price == 100 * GWEI
    assert isinstance(bad, native.CheckError)
    assert (bad.hash, bad.module, bad.code) == (None, "core", 1)
    assert bad.message == "malformed transaction"


def test_transfer_changes_balances_and_keeps_history() -> None:
    chain = Chain()
    (record,) = chain.run(chain.sign(to=FRESH, value=ETHER))
    assert record["status"] == 1
    assert chain.engine.account(bytes.fromhex(FRESH[2:])) == (0, ETHER)
    assert chain.engine.account(bytes.fromhex(FRESH[2:]), 1) == (0, 0)
    nonce, balance = chain.engine.account(address(ACCOUNTS[0]))
    fee = record["gas_used"] * 100 * GWEI
    assert (nonce, balance) == (1, 999_999 * ETHER - fee)
    assert chain.engine.fees() == fee


def test_balances_beyond_64_bits_survive_the_boundary() -> None:
    store = native.Store.memory()
    engine = native.Engine(native.ChainConfig(chain_id=1, confidential=False), store)
    genesis = [(b"\x01" * 20, 2**255), (b"\x02" * 20, 2**64 - 1)]
    engine.execute(environment(1), [], genesis=genesis, strict=True).persist()
    assert engine.account(b"\x01" * 20) == (0, 2**255)
    assert engine.account(b"\x02" * 20) == (0, 2**64 - 1)
    for balance in (-1, 2**256):
        with pytest.raises(native.ConfigError):
            engine.execute(environment(2), [], genesis=[(b"\x01" * 20, balance)], strict=True)


def test_records_are_canonical_cbor() -> None:
    chain = Chain()
    block = chain.engine.execute(chain.environment(), [chain.sign(to=FRESH)], strict=True)
    (record,) = block.results
    assert cbor2.dumps(cbor2.loads(record), canonical=True) == record
    assert block.io_root == native.io_root([chain.sign(to=FRESH)], block.results)
    assert block.io_root != native.io_root([], [])
    assert (block.round, block.included, block.rejected) == (2, (0,), ())


def test_strict_batch_names_the_transaction_that_may_not_be_in_it() -> None:
    chain = Chain()
    batch = [chain.sign(to=FRESH), chain.sign(to=FRESH)]
    with pytest.raises(native.InvalidBatch) as caught:
        chain.engine.execute(chain.environment(), batch, strict=True)
    assert (caught.value.index, caught.value.module, caught.value.code) == (1, "core", 4)
    block = chain.engine.execute(chain.environment(), batch, strict=False)
    ((index, error),) = block.rejected
    assert (block.included, index, error.code) == ((0,), 1, 4)
    assert error.hash == native.keccak256(batch[1])


def test_dropped_block_leaves_no_trace() -> None:
    chain = Chain()
    root = chain.store.root
    block = chain.engine.execute(chain.environment(), [chain.sign(to=FRESH, value=5)], strict=True)
    assert block.state_root != root
    del block
    assert (chain.store.root, chain.store.version) == (root, 1)


def test_call_failure_carries_module_code_message_and_revert_data() -> None:
    chain = Chain()
    reverting = chain.deploy(deployer(bytes.fromhex("63deadbeef5f526004601cfd")))
    with pytest.raises(native.CallFailed, match=r"^evm: reverted: 3q2\+7w==$") as caught:
        chain.query(reverting)
    assert (caught.value.module, caught.value.code) == ("evm", 8)
    assert caught.value.message == "reverted: 3q2+7w=="
    assert caught.value.data == bytes.fromhex("deadbeef")
    with pytest.raises(native.CallFailed) as caught:
        chain.query(None, b"\xfe")
    assert (caught.value.code, caught.value.data) == (2, None)


def test_encrypted_call_and_transaction_answer_under_the_session_key() -> None:
    chain = Chain()
    echo = chain.deploy(deployer(ECHO))
    envelope, key = encrypt(b"hello")
    assert native.open_result(key, chain.query(echo, envelope)) == b"hello"
    (record,) = chain.run(chain.sign(to=echo, data=envelope))
    assert native.open_result(key, record["output"]) == b"hello"
    assert record["encrypted"] is True
    with pytest.raises(native.InvalidTag):
        native.open_result(bytes(32), record["output"])


def test_storage_shows_nothing_on_a_confidential_chain() -> None:
    chain = Chain()
    cell = chain.deploy(deployer(CELL))
    secret = b"a secret of exactly 32 bytes ...".ljust(32)
    chain.run(chain.sign(to=cell, data=secret))
    assert chain.query(cell) == secret
    assert chain.engine.storage(cell, bytes(32)) == bytes(32)
    assert all(secret not in key + value for key, value in chain.store.scan(limit=10_000))
    assert chain.engine.code(cell) == CELL


def test_empty_call_is_estimated_as_sapphire_does() -> None:
    assert Chain().estimate(bytes(20)) == 0x5722


def test_estimate_of_a_revert_is_no_error() -> None:
    chain = Chain()
    reverting = chain.deploy(deployer(bytes.fromhex("5f5ffd")))
    assert 2_022_000 < chain.estimate(reverting) < 2_023_000


def test_state_survives_reopening(tmp_path) -> None:
    path = tmp_path / "state"
    chain = Chain(native.Store.open(path))
    chain.run(chain.sign(to=FRESH, value=7))
    version, root = chain.store.version, chain.store.root
    chain.store.close()
    with pytest.raises(native.StateError, match="closed"):
        chain.store.get(b"\x06")
    del chain
    store = native.Store.open(str(path))
    assert (store.version, store.root) == (version, root)
    assert Chain(store).engine.account(bytes.fromhex(FRESH[2:])) == (0, 7)


def test_replica_without_keys_follows_by_diffs_and_can_be_proven_against() -> None:
    chain = Chain()
    cell = chain.deploy(deployer(CELL))
    chain.run(chain.sign(to=cell, data=b"\x01" * 32))
    replica = native.Store.memory()
    for version in range(1, chain.round + 1):
        diff, root = chain.store.diff_at(version), chain.store.root_at(version)
        with pytest.raises(native.StateError):
            replica.apply(version, diff, expect_root=bytes(32))
        replica.apply(version, diff, expect_root=root)
    assert replica.root == chain.store.root
    price = (100 * GWEI).to_bytes(16, "big")
    proof = replica.prove([b"\x06", b"\xff"])
    assert native.verify_proof(chain.store.root, proof, b"\x06") == price
    assert native.verify_proof(chain.store.root, proof, b"\xff") is None
    with pytest.raises(native.StateError):
        native.verify_proof(chain.store.root_at(1), proof, b"\x06")


def test_rollback_brings_the_older_state_back() -> None:
    chain = Chain()
    root = chain.store.root
    chain.run(chain.sign(to=FRESH, value=7))
    chain.store.skip(3)
    chain.store.rollback(1)
    assert (chain.store.version, chain.store.root) == (1, root)
    (record,) = chain.run(chain.sign(to=FRESH, value=8))
    assert record["status"] == 1
    assert chain.engine.account(bytes.fromhex(FRESH[2:])) == (0, 8)


def test_two_processes_worth_of_engines_agree_on_every_byte() -> None:
    first, second = Chain(), Chain()
    cell = first.deploy(deployer(CELL))
    assert second.deploy(deployer(CELL)) == cell
    batch = [first.sign(a, to=cell, data=bytes([n]) * 32) for n, a in enumerate(ACCOUNTS)]
    blocks = [c.engine.execute(c.environment(), batch, strict=True) for c in (first, second)]
    assert blocks[0].state_root == blocks[1].state_root
    assert (blocks[0].diff, blocks[0].results) == (blocks[1].diff, blocks[1].results)


# -- callbacks -------------------------------------------------------------------------------------


class KeyManagerAway(Exception):
    """What a callback raises here."""


def test_exception_of_a_callback_is_the_cause() -> None:
    chain = Chain()
    cell = chain.deploy(deployer(CELL))

    def away(_: bytes) -> bytes:
        raise KeyManagerAway

    blind = Chain(chain.store, key=away)
    with pytest.raises(native.HostError) as caught:
        blind.query(cell)
    assert isinstance(caught.value.__cause__, KeyManagerAway)
    with pytest.raises(native.HostError):
        blind.engine.execute(blind.environment(), [chain.sign(to=cell, data=b"1")], strict=True)
    short = Chain(chain.store, key=lambda _: b"too short")
    with pytest.raises(native.HostError) as caught:
        short.query(cell)
    assert isinstance(caught.value.__cause__, native.ConfigError)


def test_wrong_key_is_a_decryption_error_with_the_contract() -> None:
    chain = Chain()
    cell = chain.deploy(deployer(CELL))
    chain.run(chain.sign(to=cell, data=b"\x01" * 32))
    asked: list[bytes] = []

    def other(contract: bytes) -> bytes:
        asked.append(contract)
        return bytes(32)

    # Another key looks for the slot elsewhere: it finds nothing, it does not read garbage.
    assert Chain(chain.store, key=other).query(cell) == bytes(32)
    assert asked == [cell], "asked once, then kept"


def test_subcalls_reach_python_modules() -> None:
    seen: list[tuple[str, bytes, bytes, bool]] = []

    def modules(method: str, body: bytes, caller: bytes, read_only: bool, gas: int):
        seen.append((method, body, caller, read_only))
        assert gas > 0
        return (0, cbor2.dumps(True), 1_000) if method == "toy.Ask" else None

    chain = Chain(subcall=modules)
    target = bytes.fromhex("0100000000000000000000000000000000000103")

    def ask(method: bytes) -> tuple[int, bytes]:
        data = b"".join(
            [
                (64).to_bytes(32, "big"),
                (128).to_bytes(32, "big"),
                len(method).to_bytes(32, "big"),
                method.ljust(32, b"\0"),
                (1).to_bytes(32, "big"),
                b"\xf6".ljust(32, b"\0"),
            ]
        )
        answer = chain.query(target, data)
        length = int.from_bytes(answer[64:96], "big")
        return int.from_bytes(answer[:32], "big"), answer[96 : 96 + length]

    assert ask(b"toy.Ask") == (0, b"\xf5")
    assert ask(b"toy.Nothing") == (3, b"core")
    assert ask(b"core.CurrentEpoch") == (0, b"\x09")
    assert seen[0] == ("toy.Ask", b"\xf6", native.oasis_address(bytes(20)), False)
    assert len(seen) == 2, "core methods stay inside"


# -- edges of the boundary -------------------------------------------------------------------------


def test_secrets_have_no_repr() -> None:
    text = repr(environment(4))
    assert text == "BlockEnv(round=4, epoch=9, keys=<secret>)"
    assert not [name for name in dir(environment(4)) if "key" in name]


@pytest.mark.parametrize(
    "changes",
    [
        {"grandparent_hash": b"short"},
        {"rng_key": b""},
        {"call_keys": {1: b"short"}},
    ],
)
def test_environment_refuses_wrong_lengths(changes) -> None:
    with pytest.raises(native.ConfigError):
        environment(3, **changes)


def test_configuration_errors_are_value_errors() -> None:
    with pytest.raises(ValueError, match="profile"):
        native.ChainConfig(chain_id=1, profile="lax")  # type: ignore[arg-type]
    with pytest.raises(native.ConfigError, match="chain id"):
        native.Engine(native.ChainConfig(chain_id=0), native.Store.memory())
    with pytest.raises(native.ConfigError, match="20 bytes"):
        Chain().engine.account(b"\x01")


def test_objects_are_frozen() -> None:
    chain = Chain()
    block = chain.engine.execute(chain.environment(), [], strict=True)
    for target, name in [
        (chain.config, "chain_id"),
        (block, "gas_used"),
        (environment(1), "round"),
    ]:
        with pytest.raises(AttributeError):
            setattr(target, name, 1)


def test_missing_version_is_a_state_error() -> None:
    chain = Chain()
    with pytest.raises(native.StateError, match="version 9"):
        chain.engine.account(bytes(20), 9)
    with pytest.raises(native.StateError):
        chain.engine.execute(environment(5), [], strict=True)


def test_interpreter_runs_while_the_engine_works() -> None:
    chain = Chain()
    # Burns the whole batch limit in a loop.
    spin = chain.deploy(deployer(bytes.fromhex("5b5f56")))
    ticks, working = 0, threading.Event()

    def work() -> None:
        working.set()
        for _ in range(5):
            with pytest.raises(native.CallFailed):
                chain.query(spin)

    thread = threading.Thread(target=work)
    thread.start()
    working.wait()
    while thread.is_alive():
        ticks += 1
        time.sleep(0)
    thread.join()
    assert ticks > 100


def test_concurrent_queries_and_rounds_do_not_disturb_each_other() -> None:
    chain = Chain()
    cell = chain.deploy(deployer(CELL))

    def ask(_: int) -> list[tuple[int, int]]:
        answers = []
        for _ in range(50):
            version = chain.store.version
            fields = chain.call_fields(cell, b"") | {"version": version}
            value = chain.engine.call(environment(version + 1), **fields)
            answers.append((version, int.from_bytes(value, "big")))
        return answers

    with ThreadPoolExecutor(3) as threads:
        asked = threads.map(ask, range(3))
        for number in range(1, 20):
            chain.run(chain.sign(to=cell, data=number.to_bytes(32, "big")))
        for version, value in itertools.chain.from_iterable(asked):
            assert value == version - 2


def test_dynamic_fee_and_access_list_transactions_are_read() -> None:
    chain = Chain()
    sender = Account.from_key(b"\x02" * 32)
    common = {"to": FRESH, "gas": 100_000, "value": 1, "chainId": CHAIN_ID}
    dynamic = common | {"nonce": 0, "maxFeePerGas": 150 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}
    slots = ["0x" + "00" * 32]
    listed = common | {
        "nonce": 1,
        "gasPrice": 100 * GWEI,
        "accessList": [{"address": FRESH, "storageKeys": slots}],
    }
    raws = [bytes(sender.sign_transaction(tx).raw_transaction) for tx in (dynamic, listed)]
    first, second = chain.run(*raws)
    assert (first["type"], second["type"]) == (2, 1)
    assert int.from_bytes(first["effective_gas_price"], "big") == 102 * GWEI
    assert int.from_bytes(first["max_fee"], "big") == 150 * GWEI
    assert second["access_list"] == [[bytes.fromhex(FRESH[2:]), [bytes(32)]]]
    assert first["access_list"] == []
