"""InferenceMeter on the EVM: credit is kept, charged in order and once, shown to its owner."""

import base64
import json

import cbor2
import evm_native as native
import pytest
from eth_abi import decode, encode

from apps.inference.metering.chain import ARTIFACT
from shared.crypto.merkle import merkle_proof, merkle_root
from tests.unit.native.chain import ACCOUNTS, Chain, address

SERVICE, ANA, BEN, *_ = ACCOUNTS
KEY_HASH = b"k" * 32
NOW = 1_700_000_000
ABI = json.loads(ARTIFACT.read_text())["abi"]
FUNCTIONS = {one["name"]: one for one in ABI if one["type"] == "function"}
ERRORS = {
    native.keccak256(
        f"{one['name']}({','.join(field['type'] for field in one['inputs'])})".encode()
    )[:4]: one["name"]
    for one in ABI
    if one["type"] == "error"
}


class Reverted(Exception):
    """A transaction failed, with the name of the contract's error."""


class Meter:
    def __init__(self, app=bytes(21), service=None):
        self.chain = Chain()
        bytecode = bytes.fromhex(json.loads(ARTIFACT.read_text())["bytecode"][2:])
        arguments = encode(["address", "bytes21"], [service or address(SERVICE), app])
        self.address = self.chain.deploy(bytecode + arguments)

    def data(self, name, *arguments):
        types = [field["type"] for field in FUNCTIONS[name]["inputs"]]
        selector = native.keccak256(f"{name}({','.join(types)})".encode())[:4]
        return selector + encode(types, arguments)

    def ask(self, name, *arguments):
        """What nobody in particular is told."""
        types = [field["type"] for field in FUNCTIONS[name]["outputs"]]
        found = decode(types, self.chain.query(self.address, self.data(name, *arguments)))
        return found[0] if len(found) == 1 else found

    def send(self, name, *arguments, by=ANA, value=0, at=NOW):
        raw = self.chain.sign(
            by, to=self.address, data=self.data(name, *arguments), value=value, gas=3_000_000
        )
        surroundings = self.chain.environment(parent_timestamp=at)
        block = self.chain.engine.execute(surroundings, [raw], strict=True)
        block.persist()
        (record,) = [cbor2.loads(one) for one in block.results]
        if record["error"] is not None:
            message = record["error"]["message"]
            data = base64.b64decode(message.removeprefix("reverted: "))
            raise Reverted(ERRORS.get(data[:4], message))

    def balance(self, account=None):
        owner = self.address if account is None else address(account)
        return self.chain.engine.account(owner)[1]


@pytest.fixture
def meter():
    made = Meter()
    made.send("deposit", KEY_HASH, value=1_000)
    return made


def commit(meter, epoch=0, used=300, root=b"r" * 32, by=SERVICE):
    meter.send("commit", epoch, root, 2, [KEY_HASH], [used], by=by)


def test_epochs_are_charged_in_order_once_and_by_the_service(meter):
    for refused in ({"by": ANA}, {"epoch": 1}):
        with pytest.raises(Reverted, match=r"NotService|WrongEpoch"):
            commit(meter, **refused)
    commit(meter)
    with pytest.raises(Reverted, match="WrongEpoch"):
        commit(meter)
    before = meter.balance()
    meter.send("withdraw", address(SERVICE), by=SERVICE)
    assert before - meter.balance() == 300
    with pytest.raises(Reverted, match="TooLittle"):
        meter.send("withdraw", address(SERVICE), by=SERVICE)


def test_epochs_of_an_app_are_charged_by_its_instances_alone():
    meter = Meter(app=b"\x07" * 21)
    meter.send("deposit", KEY_HASH, value=1_000)
    for by in (SERVICE, ANA):
        # `RoflOriginNotAuthorizedForApp()` of Sapphire's library: no instance has this key.
        with pytest.raises(Reverted, match="RoflOriginNotAuthorizedForApp"):
            commit(meter, by=by)
        with pytest.raises(Reverted, match="RoflOriginNotAuthorizedForApp"):
            meter.send("serveAs", address(by), by=by)
    assert meter.ask("nextEpoch") == 0


def test_no_more_is_charged_than_there_is_and_nothing_is_lost(meter):
    commit(meter, used=5_000)
    meter.send("withdraw", address(SERVICE), by=SERVICE)
    assert meter.balance() == 0


def test_owner_takes_back_what_is_left_after_his_notice(meter):
    commit(meter, used=300)
    with pytest.raises(Reverted, match="NoNotice"):
        meter.send("close", KEY_HASH, address(ANA))
    for name, arguments in (("giveNotice", ()), ("close", (address(BEN),))):
        with pytest.raises(Reverted, match="NotOwner"):
            meter.send(name, KEY_HASH, *arguments, by=BEN)
    with pytest.raises(Reverted, match="NotOwner"):
        meter.send("deposit", KEY_HASH, by=BEN, value=1)
    meter.send("giveNotice", KEY_HASH, at=NOW)
    with pytest.raises(Reverted, match="NoNotice"):
        meter.send("close", KEY_HASH, address(ANA), at=NOW + 3_000)
    commit(meter, epoch=1, used=100)
    meter.send("close", KEY_HASH, address(ANA), at=NOW + 4_000)
    assert meter.balance() == 400
    with pytest.raises(Reverted, match="NoNotice"):
        meter.send("close", KEY_HASH, address(ANA), at=NOW + 9_000)


def test_credit_is_not_shown_to_strangers(meter):
    unnamed = Meter(app=b"\x07" * 21, service=bytes(20))
    unnamed.send("deposit", KEY_HASH, value=1_000)
    nobody = {"caller": bytes(20)}
    data = unnamed.data("credit", KEY_HASH)
    assert int.from_bytes(unnamed.chain.query(unnamed.address, data, **nobody), "big") == 0
    assert meter.ask("credit", KEY_HASH) == 0
    assert meter.ask("noticeOf", KEY_HASH) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_each_receipt_is_proven_and_no_other(meter, count):
    leaves = [f"receipt {at}".encode() for at in range(count)]
    meter.send("commit", 0, merkle_root(leaves), count, [], [], by=SERVICE)
    for at, leaf in enumerate(leaves):
        aunts = list(merkle_proof(leaves, at))
        assert meter.ask("isCommitted", 0, leaf, at, aunts)
        assert not meter.ask("isCommitted", 0, leaf + b"x", at, aunts)
        assert not meter.ask("isCommitted", 0, leaf, at + count, aunts)
        assert not meter.ask("isCommitted", 0, leaf, at, [*aunts, b"0" * 32])
        if count > 1:
            assert not meter.ask("isCommitted", 0, leaf, (at + 1) % count, aunts)
