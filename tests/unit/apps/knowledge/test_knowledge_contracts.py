"""The contracts: the first commitment wins, and what an epoch charges is shared out to the wei."""

import base64
import json

import cbor2
import evm_native as native
import pytest
from eth_abi import decode, encode

from apps.inference.metering.usage import MAX_PAYS, Epoch
from apps.knowledge import limits
from apps.knowledge.chain import CONTRACTS, METER, PAY, REGISTRY, VAULT, pays_of
from tests.unit.native.chain import ACCOUNTS, Chain, address

APP, ANA, BEN, PAYER, STRANGER = ACCOUNTS
KEY_HASH, OTHER_HASH = b"k" * 32, b"o" * 32
FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
NOW, ANSWER_WEI = 1_700_000_000, 101


def entries(kind):
    return [
        one
        for path in CONTRACTS
        for one in json.loads(path.read_text())["abi"]
        if one["type"] == kind
    ]


def typed(field):
    if not field["type"].startswith("tuple"):
        return field["type"]
    inner = ",".join(typed(part) for part in field["components"])
    return f"({inner}){field['type'].removeprefix('tuple')}"


ERRORS = {
    native.keccak256(
        f"{one['name']}({','.join(field['type'] for field in one['inputs'])})".encode()
    )[:4]: one["name"]
    for one in entries("error")
}


class Reverted(Exception):
    """A transaction failed, with the name of the contract's error."""


class Contract:
    def __init__(self, chain, path, at):
        abi = json.loads(path.read_text())["abi"]
        self.chain, self.address = chain, at
        self.functions = {one["name"]: one for one in abi if one["type"] == "function"}

    def data(self, name, *arguments):
        types = [typed(field) for field in self.functions[name]["inputs"]]
        selector = native.keccak256(f"{name}({','.join(types)})".encode())[:4]
        return selector + encode(types, arguments)

    def ask(self, name, *arguments):
        types = [typed(field) for field in self.functions[name]["outputs"]]
        found = decode(types, self.chain.query(self.address, self.data(name, *arguments)))
        return found[0] if len(found) == 1 else found

    def send(self, name, *arguments, by, value=0, at=NOW):
        raw = self.chain.sign(
            by, to=self.address, data=self.data(name, *arguments), value=value, gas=8_000_000
        )
        surroundings = self.chain.environment(parent_timestamp=at)
        block = self.chain.engine.execute(surroundings, [raw], strict=True)
        block.persist()
        (record,) = [cbor2.loads(one) for one in block.results]
        if record["error"] is not None:
            message = record["error"]["message"]
            data = base64.b64decode(message.removeprefix("reverted: "))
            raise Reverted(ERRORS.get(data[:4], message))


class World:
    def __init__(self, app=bytes(21)):
        self.chain = Chain()
        bytecode = bytes.fromhex(json.loads(PAY.read_text())["bytecode"][2:])
        made = self.chain.deploy(
            bytecode + encode(["address", "bytes21", "uint256"], [address(APP), app, ANSWER_WEI])
        )
        self.pay = Contract(self.chain, PAY, made)
        self.registry, self.meter, self.vault = (
            Contract(self.chain, path, bytes.fromhex(self.pay.ask(name)[2:]))
            for name, path in (("registry", REGISTRY), ("meter", METER), ("vault", VAULT))
        )

    def settle(self, epoch=0, used=(300,), pays=((FIRST, 100), (SECOND, 1)), by=APP, keys=None):
        hashes = keys or [KEY_HASH, OTHER_HASH][: len(used)]
        self.pay.send(
            *("settle", epoch, b"r" * 32, 2, hashes, list(used)),
            *([one for one, _ in pays], [wei for _, wei in pays]),
            by=by,
        )

    def taken(self, account):
        """What an account can take, by taking it all."""
        owner = address(account)
        for wei in (1 << at for at in reversed(range(20))):
            try:
                self.vault.send("withdraw", b"\x99" * 20, wei, by=account)
            except Reverted:
                continue
        return owner

    def balance(self, owner):
        return self.chain.engine.account(owner)[1]


@pytest.fixture
def world():
    made = World()
    made.registry.send("register", FIRST, 3, 60, 200, by=ANA)
    made.registry.send("register", SECOND, 1, 24, 24, by=BEN)
    made.meter.send("deposit", KEY_HASH, by=PAYER, value=1_000)
    return made


def withdrawn(world, account):
    """Everything that the vault owes an account [wei]."""
    before = world.balance(b"\x99" * 20)
    world.taken(account)
    return world.balance(b"\x99" * 20) - before


def test_first_commitment_wins_and_numbers_tell_the_order(world):
    for by in (ANA, BEN):
        with pytest.raises(Reverted, match="AlreadyCommitted"):
            world.registry.send("register", FIRST, 3, 60, 200, by=by)
    owner, number, *policy, removed = world.registry.ask("documentOf", SECOND)
    assert (owner, number, policy, removed) == (BEN.address.lower(), 2, [1, 24, 24], False)
    assert world.registry.ask("areThere", [SECOND, b"x" * 32, FIRST]) == (True, False, True)


def test_only_the_owner_removes_and_it_stays_removed(world):
    for one in (FIRST, b"x" * 32):
        with pytest.raises(Reverted, match="NotOwner"):
            world.registry.send("remove", one, by=BEN)
    for _ in range(2):
        world.registry.send("remove", FIRST, by=ANA)
    assert world.registry.ask("areThere", [FIRST]) == (False,)
    with pytest.raises(Reverted, match="AlreadyCommitted"):
        world.registry.send("register", FIRST, 3, 60, 200, by=ANA)


@pytest.mark.parametrize("policy", [(0, 60, 60), (257, 60, 60), (1, 23, 60), (1, 60, 59)])
def test_impossible_policies_are_refused(world, policy):
    with pytest.raises(Reverted, match="BadPolicy"):
        world.registry.send("register", b"\x03" * 32, *policy, by=ANA)


def test_limits_are_the_contracts(world):
    assert world.registry.ask("MAX_CHUNKS") == limits.MAX_CHUNKS
    assert world.registry.ask("LEAST_RUN") == limits.LEAST_RUN
    assert world.pay.ask("MAX_PAYS") >= MAX_PAYS + 2 * limits.MAX_SOURCES


def test_what_is_charged_is_what_is_paid(world):
    world.settle()
    # A removed document keeps what it earned.
    world.registry.send("remove", FIRST, by=ANA)
    assert [withdrawn(world, one) for one in (ANA, BEN, APP, STRANGER)] == [100, 1, 199, 0]
    assert world.balance(world.pay.address) == world.balance(world.vault.address) == 0
    assert world.balance(world.meter.address) == 700


def test_an_epoch_is_settled_once_in_order_and_by_the_app(world):
    with pytest.raises(Reverted, match="NotService"):
        world.settle(by=ANA)
    with pytest.raises(Reverted, match="WrongEpoch"):
        world.settle(epoch=1)
    world.settle()
    with pytest.raises(Reverted, match="WrongEpoch"):
        world.settle()
    world.settle(epoch=1, used=(), pays=())
    assert withdrawn(world, ANA) == 100


def test_epochs_of_an_app_are_settled_by_its_instances_alone():
    world = World(app=b"\x07" * 21)
    for by in (APP, ANA):
        with pytest.raises(Reverted, match="RoflOriginNotAuthorizedForApp"):
            world.settle(used=(), pays=(), by=by)
        with pytest.raises(Reverted, match="RoflOriginNotAuthorizedForApp"):
            world.pay.send("serveAs", address(by), by=by)
    assert world.meter.ask("nextEpoch") == 0


def test_no_more_is_paid_than_was_charged(world):
    with pytest.raises(Reverted, match="MoreThanCharged"):
        world.settle(used=(100,))
    with pytest.raises(Reverted, match="UnknownDocument"):
        world.settle(pays=((b"x" * 32, 1),))
    assert world.meter.ask("nextEpoch") == 0
    # Of a key that has less than it used, what is there is shared out.
    world.settle(used=(5_000,), pays=((FIRST, 1_000),))
    assert withdrawn(world, ANA) == 1_000


def test_nobody_else_reaches_meter_vault_or_contract(world):
    with pytest.raises(Reverted, match="NotService"):
        world.meter.send("commit", 0, b"r" * 32, 1, [KEY_HASH], [1], by=APP)
    with pytest.raises(Reverted, match="NotMarket"):
        world.vault.send("credit", b"j" * 32, [address(APP)], [0], by=APP)
    for name in ("spendable", "creditOf"):
        with pytest.raises(Exception, match=r"revert|NotService"):
            world.pay.ask(name, KEY_HASH)


def test_payer_takes_back_what_is_left_after_his_notice(world):
    world.settle()
    world.meter.send("giveNotice", KEY_HASH, by=PAYER)
    world.meter.send("close", KEY_HASH, b"\x77" * 20, by=PAYER, at=NOW + 4_000)
    assert world.balance(b"\x77" * 20) == 700


def test_pays_follow_from_what_each_payer_has():
    pays = ((b"a", FIRST, 60), (b"a", SECOND, 40), (b"b", FIRST, 7))
    epoch = Epoch(0, (), ((b"a", 130), (b"b", 7)), pays)
    assert pays_of(epoch, {b"a": 1_000, b"b": 1_000}) == {FIRST: 67, SECOND: 40}
    assert pays_of(epoch, {b"a": 51, b"b": 0}) == {FIRST: 31, SECOND: 20}
    assert pays_of(Epoch(0, (), ((b"a", 5),)), {b"a": 5}) == {}
