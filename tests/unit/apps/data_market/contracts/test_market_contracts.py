"""The market's contracts: budgets are kept, pots are paid or refunded once, and to the wei."""

import base64
import json
from pathlib import Path

import cbor2
import evm_native as native
import pytest
from eth_abi import decode, encode

from apps.data_market.chain.contracts import Result
from apps.data_market.chain.instance import result_hash
from shared.crypto.hashes import sha512_256
from shared.rules.app_ids import app_key
from tests.unit.native.chain import ACCOUNTS, CHAIN_ID, EPOCH, Chain, address, block_hash

ARTIFACTS = Path(__file__).parents[5] / "apps" / "data_market" / "contracts" / "artifacts"
OWNER, ANA, BEN, FIRST, SECOND = ACCOUNTS
APP, OTHER_APP = b"\x00" + b"a" * 20, b"\x00" + b"b" * 20
NODES = {FIRST: b"\x0a" * 32, SECOND: b"\x0b" * 32}
POT = 10**18 + 1
NOW = 1_700_000_000
DEADLINE = NOW + 10_000
RECIPE, SCHEMA = b"r" * 32, b"s" * 32
DATASETS = [b"\x01" * 32, b"\x02" * 32]
SALT = b"\x09" * 32
ID = native.keccak256(encode(["address", "bytes32"], [address(OWNER), SALT]))
STATES = ["None", "Open", "Committed", "Running", "Settled", "Expired", "Disputed"]
TERMS = (RECIPE, b"p" * 32, b"v" * 32, SCHEMA, 400, DEADLINE, DATASETS)
BLIND = b"\x4b" * 32


def result_of(*amounts, blind=BLIND):
    """A result as workers hand it in."""
    masks = [
        int.from_bytes(native.keccak256(encode(["bytes32", "uint256"], [blind, at])), "big")
        for at in range(len(amounts))
    ]
    masked = [amount ^ mask for amount, mask in zip(amounts, masks, strict=True)]
    return (masked, blind, b"m" * 32, b"c" * 32, b"w" * 32)


RESULT = result_of(POT - 7, 7)


class Reverted(Exception):
    """A transaction failed, with the name of the contract's error."""


def typed(field):
    if not field["type"].startswith("tuple"):
        return field["type"]
    inner = ",".join(typed(part) for part in field["components"])
    return f"({inner}){field['type'].removeprefix('tuple')}"


class Contract:
    def __init__(self, chain, name, at=None, app=APP):
        artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
        self.chain = chain
        self.functions = {one["name"]: one for one in artifact["abi"] if one["type"] == "function"}
        self.address = at or chain.deploy(
            bytes.fromhex(artifact["bytecode"][2:]) + encode(["bytes21"], [app])
        )

    def data(self, name, *arguments):
        types = [typed(field) for field in self.functions[name]["inputs"]]
        return native.keccak256(f"{name}({','.join(types)})".encode())[:4] + encode(
            types, arguments
        )

    def ask(self, name, *arguments, by=OWNER):
        types = [typed(field) for field in self.functions[name]["outputs"]]
        data = signed_query(self.chain, by, self.address, self.data(name, *arguments))
        found = decode(types, self.chain.query(self.address, data, caller=address(by)))
        return found[0] if len(found) == 1 else found

    def send(self, name, *arguments, by=OWNER, at=None, value=0):
        """Gas used by a transaction of an account, at a time."""
        raw = self.chain.sign(
            by, to=self.address, data=self.data(name, *arguments), value=value, gas=3_000_000
        )
        surroundings = self.chain.environment(**({} if at is None else {"parent_timestamp": at}))
        block = self.chain.engine.execute(surroundings, [raw], strict=True)
        block.persist()
        (record,) = [cbor2.loads(one) for one in block.results]
        if record["error"] is not None:
            message = record["error"]["message"]
            data = base64.b64decode(message.removeprefix("reverted: "))
            raise Reverted(ERRORS.get(data[:4], message))
        return record["gas_used"]


def signed_query(chain, account, to, data):
    """A query that says who asks; without it the contract sees nobody."""
    number = chain.round - 1
    nonce, _ = chain.engine.account(address(account))
    leash = {"nonce": nonce, "blockNumber": number, "blockHash": block_hash(number)}
    call = [("from", "address"), ("to", "address"), ("gasLimit", "uint64")]
    call += [("gasPrice", "uint256"), ("value", "uint256"), ("data", "bytes"), ("leash", "Leash")]
    message = {
        "from": account.address,
        "to": "0x" + to.hex(),
        "gasLimit": 30_000_000,
        "gasPrice": 1,
        "value": 0,
        "data": data,
        "leash": {**leash, "blockRange": 15},
    }
    names = {"nonce": "uint64", "blockNumber": "uint64", "blockHash": "bytes32"}
    signed = account.sign_typed_data(
        domain_data={
            "name": "oasis-runtime-sdk/evm: signed query",
            "version": "1.0.0",
            "chainId": CHAIN_ID,
        },
        message_types={
            "Call": [{"name": name, "type": kind} for name, kind in call],
            "Leash": [
                {"name": name, "type": kind}
                for name, kind in {**names, "blockRange": "uint64"}.items()
            ],
        },
        message_data=message,
    )
    return cbor2.dumps(
        {
            "data": {"body": data},
            "leash": {
                "nonce": nonce,
                "block_number": number,
                "block_hash": block_hash(number),
                "block_range": 15,
            },
            "signature": bytes(signed.signature),
        },
        canonical=True,
    )


def errors():
    found = {}
    for file in ARTIFACTS.iterdir():
        for one in json.loads(file.read_text())["abi"]:
            if one["type"] == "error":
                types = ",".join(typed(field) for field in one["inputs"])
                found[native.keccak256(f"{one['name']}({types})".encode())[:4]] = one["name"]
    return found


ERRORS = errors()


def endorse(chain, account, node, app=APP, until=EPOCH + 1):
    """
    Let an account speak for an instance of an app, as a registration does.

    Source: `crates/evm-core/src/modules/rofl/state.rs`.
    """
    key = b"\x09\x03" + sha512_256(b"secp256k1eth" + address(account))
    record = cbor2.dumps([app, node, None, until])
    changes = {app_key(app): b"\xa0", key: record}
    chain.store.stage(changes, version=chain.round).persist()


class Market:
    """Four contracts, the two datasets of ana and ben, and instances of an app on two nodes."""

    def __init__(self):
        self.chain = Chain()
        for account, node in NODES.items():
            endorse(self.chain, account, node)
        self.jobs = Contract(self.chain, "JobMarket")
        self.registry = self.part("DataRegistry", "registry")
        self.ledger = self.part("PrivacyLedger", "ledger")
        self.vault = self.part("PayVault", "vault")
        for owner, dataset in ((ANA, DATASETS[0]), (BEN, DATASETS[1])):
            self.register(owner, dataset)

    def part(self, name, getter):
        return Contract(self.chain, name, bytes.fromhex(self.jobs.ask(getter)[2:]))

    def register(self, owner, dataset, cap=1000, expiry=NOW + 50_000, recipes=(RECIPE,)):
        policy = (cap, 10**15, expiry, b"u" * 32, list(recipes))
        self.registry.send("register", dataset, SCHEMA, 112, policy, by=owner)

    def open(self, terms=TERMS, value=POT, salt=SALT):
        self.jobs.send("open", salt, terms, value=value)

    def commit(self):
        self.jobs.send("accept", ID, 0, by=ANA)
        self.jobs.send("accept", ID, 1, by=BEN)

    def run(self):
        self.open()
        self.commit()
        self.jobs.send("start", ID, by=FIRST)

    def report(self, result=RESULT):
        found = self.jobs.ask("resultHash", ID, result)
        self.jobs.send("report", ID, found, by=FIRST)
        self.jobs.send("report", ID, found, by=SECOND)

    @property
    def state(self):
        return STATES[self.jobs.ask("jobOf", ID)[0]]

    def owed(self, account):
        return self.vault.ask("myPay", by=account)

    @property
    def used(self):
        return [self.ledger.ask("used", dataset) for dataset in DATASETS]

    def refuses(self, error, contract, *what, **fields):
        with pytest.raises(Reverted) as caught:
            contract.send(*what, **fields)
        assert caught.value.args == (error,)


@pytest.fixture
def market():
    return Market()


def test_a_job_goes_its_way_and_pays_to_the_wei(market) -> None:
    market.open()
    market.jobs.send("accept", ID, 0, by=ANA)
    assert (market.state, market.used) == ("Open", [400, 0])
    market.jobs.send("accept", ID, 1, by=BEN)
    assert (market.state, market.used) == ("Committed", [400, 400])
    market.jobs.send("start", ID, by=SECOND)
    market.report()
    market.jobs.send("settle", ID, RESULT, by=FIRST)
    assert market.state == "Settled"
    assert (market.owed(ANA), market.owed(BEN), market.owed(OWNER)) == (POT - 7, 7, 0)
    balance, _ = market.chain.engine.account(market.vault.address)[::-1]
    assert balance == POT
    assert market.used == [400, 400]


def test_what_a_worker_does_again_changes_nothing(market) -> None:
    market.run()
    market.jobs.send("start", ID, by=SECOND)
    market.report()
    market.report()
    for worker in (FIRST, SECOND, FIRST):
        market.jobs.send("settle", ID, RESULT, by=worker)
    market.report()
    assert (market.owed(ANA), market.owed(BEN)) == (POT - 7, 7)
    assert market.used == [400, 400]


def test_workers_who_differ_pay_nobody_and_the_budget_is_spent(market) -> None:
    market.run()
    market.jobs.send("report", ID, b"\x01" * 32, by=FIRST)
    market.jobs.send("report", ID, b"\x02" * 32, by=SECOND)
    assert market.state == "Disputed"
    assert (market.owed(OWNER), market.owed(ANA)) == (POT, 0)
    market.refuses("WrongState", market.jobs, "expire", ID, at=DEADLINE)
    market.refuses("WrongState", market.jobs, "settle", ID, RESULT, by=FIRST)
    assert market.used == [400, 400]


def test_a_worker_who_contradicts_itself_is_a_dispute(market) -> None:
    market.run()
    market.jobs.send("report", ID, b"\x01" * 32, by=FIRST)
    market.jobs.send("report", ID, b"\x02" * 32, by=FIRST)
    assert market.state == "Disputed"


def test_one_worker_alone_pays_nobody(market) -> None:
    market.run()
    found = market.jobs.ask("resultHash", ID, RESULT)
    market.jobs.send("report", ID, found, by=FIRST)
    market.refuses("BadResult", market.jobs, "settle", ID, RESULT, by=FIRST)
    assert market.state == "Running"


@pytest.mark.parametrize("amounts", [[POT, 1], [POT - 8, 7], [0, 0], [2**256 - 1, POT + 1]])
def test_another_sum_than_the_pot_is_not_paid(market, amounts) -> None:
    market.run()
    result = result_of(*amounts)
    market.report(result)
    with pytest.raises(Reverted):
        market.jobs.send("settle", ID, result, by=FIRST)
    assert (market.state, market.owed(ANA)) == ("Running", 0)
    market.jobs.send("expire", ID, at=DEADLINE)
    assert market.owed(OWNER) == POT


def test_another_number_of_payees_is_not_paid(market) -> None:
    market.run()
    result = result_of(POT)
    market.report(result)
    market.refuses("BadResult", market.jobs, "settle", ID, result, by=FIRST)


def test_an_expired_job_that_never_started_gives_everything_back(market) -> None:
    market.open()
    market.jobs.send("accept", ID, 0, by=ANA)
    market.refuses("TooEarly", market.jobs, "expire", ID, at=DEADLINE - 1)
    market.jobs.send("expire", ID, by=BEN, at=DEADLINE)
    market.jobs.send("expire", ID, at=DEADLINE)
    assert (market.state, market.used) == ("Expired", [0, 0])
    assert market.owed(OWNER) == POT


def test_an_expired_job_that_started_has_spent_its_budgets(market) -> None:
    market.run()
    market.jobs.send("expire", ID, at=DEADLINE)
    assert (market.state, market.used, market.owed(OWNER)) == ("Expired", [400, 400], POT)
    market.refuses("WrongState", market.jobs, "start", ID, by=FIRST)
    market.refuses("WrongState", market.jobs, "report", ID, b"\x01" * 32, by=FIRST)


def test_nothing_begins_or_is_paid_after_the_deadline(market) -> None:
    market.open()
    market.refuses("TooLate", market.jobs, "accept", ID, 0, by=ANA, at=DEADLINE)
    market.commit()
    market.refuses("TooLate", market.jobs, "start", ID, by=FIRST, at=DEADLINE)
    market.jobs.send("start", ID, by=FIRST)
    market.report()
    market.refuses("TooLate", market.jobs, "settle", ID, RESULT, by=FIRST, at=DEADLINE)


def test_budgets_hold_over_jobs(market) -> None:
    market.run()
    other = native.keccak256(encode(["address", "bytes32"], [address(OWNER), b"\x0a" * 32]))
    market.open(salt=b"\x0a" * 32)
    market.jobs.send("accept", other, 0, by=ANA)
    assert market.ledger.ask("left", DATASETS[0]) == 200
    third = native.keccak256(encode(["address", "bytes32"], [address(OWNER), b"\x0b" * 32]))
    market.open(salt=b"\x0b" * 32)
    market.refuses("BudgetSpent", market.jobs, "accept", third, 0, by=ANA)
    assert market.used[0] == 800


@pytest.mark.parametrize("name", ["reserve", "spend", "release"])
def test_only_the_market_moves_budgets(market, name) -> None:
    arguments = (DATASETS[0], ID, 1) if name == "reserve" else (DATASETS[0], ID)
    market.refuses("NotMarket", market.ledger, name, *arguments, by=ANA)


def test_only_the_market_credits(market) -> None:
    market.refuses("NotMarket", market.vault, "credit", ID, [address(ANA)], [5], by=ANA, value=5)


def test_strangers_do_nothing(market) -> None:
    market.open()
    market.refuses("NotOwner", market.jobs, "accept", ID, 0, by=BEN)
    market.commit()
    refuses_instance(market, ANA)
    market.refuses("NotOwner", market.registry, "revoke", DATASETS[0], by=BEN)


@pytest.mark.parametrize(
    "changes", [{"app": OTHER_APP}, {"until": EPOCH}], ids=["another app", "its time is up"]
)
def test_only_registered_instances_of_the_app_act(market, changes) -> None:
    market.open()
    market.commit()
    endorse(market.chain, ANA, b"\x0c" * 32, **changes)
    refuses_instance(market, ANA)
    market.jobs.send("start", ID, by=FIRST)


def test_instances_of_a_removed_app_do_nothing(market) -> None:
    market.run()
    changes = {app_key(APP): None}
    market.chain.store.stage(changes, version=market.chain.round).persist()
    refuses_instance(market, FIRST)


def refuses_instance(market, account):
    for name, arguments in (("start", ()), ("report", (b"\x01" * 32,)), ("settle", (RESULT,))):
        market.refuses(
            "RoflOriginNotAuthorizedForApp", market.jobs, name, ID, *arguments, by=account
        )


def test_two_instances_of_one_node_are_one(market) -> None:
    """As the instance before and after its enclave started anew, with another key."""
    market.run()
    endorse(market.chain, OWNER, NODES[FIRST])
    found = market.jobs.ask("resultHash", ID, RESULT)
    for account in (FIRST, OWNER):
        market.jobs.send("report", ID, found, by=account)
    market.refuses("BadResult", market.jobs, "settle", ID, RESULT, by=OWNER)
    market.jobs.send("report", ID, found, by=SECOND)
    market.jobs.send("settle", ID, RESULT, by=OWNER)
    assert market.owed(ANA) == POT - 7


def test_a_third_node_that_differs_is_a_dispute(market) -> None:
    market.run()
    market.report()
    endorse(market.chain, OWNER, b"\x0c" * 32)
    market.jobs.send("report", ID, b"\x01" * 32, by=OWNER)
    assert (market.state, market.owed(OWNER)) == ("Disputed", POT)


def test_a_start_gives_what_instances_go_by(market) -> None:
    market.open()
    market.commit()
    for _ in range(2):
        raw = market.chain.sign(
            FIRST, to=market.jobs.address, data=market.jobs.data("start", ID), gas=3_000_000
        )
        (record,) = market.chain.run(raw)
        types = [typed(field) for field in market.jobs.functions["start"]["outputs"]]
        terms, pot_wei, committed_at = decode(types, record["output"])
        assert (terms[:2], terms[6], pot_wei) == (TERMS[:2], tuple(DATASETS), POT)
        assert committed_at[0] < committed_at[1] < market.chain.round


def test_the_first_commitment_wins(market) -> None:
    with pytest.raises(Reverted) as caught:
        market.register(BEN, DATASETS[0])
    assert caught.value.args == ("AlreadyCommitted",)
    assert market.registry.ask("datasetOf", DATASETS[0])[0].lower() == ANA.address.lower()


@pytest.mark.parametrize(
    "changes",
    [{"cap": 0}, {"expiry": NOW}, {"recipes": ()}, {"recipes": (RECIPE,) * 17}],
    ids=["cap", "expiry", "no recipe", "recipes"],
)
def test_empty_policies_are_refused(market, changes) -> None:
    with pytest.raises(Reverted) as caught:
        market.register(ANA, b"\x05" * 32, **changes)
    assert caught.value.args == ("BadPolicy",)


def test_a_policy_refuses_what_it_does_not_name(market) -> None:
    for at, (terms, value) in enumerate(
        [
            ((b"q" * 32, *TERMS[1:]), POT),
            ((*TERMS[:3], b"x" * 32, *TERMS[4:]), POT),
            (TERMS, 10**15 - 1),
        ]
    ):
        salt = bytes([at]) * 32
        market.open(terms, value, salt)
        one = native.keccak256(encode(["address", "bytes32"], [address(OWNER), salt]))
        market.refuses("NotAllowed", market.jobs, "accept", one, 0, by=ANA)


def test_a_revoked_dataset_starts_no_job(market) -> None:
    market.open()
    market.commit()
    market.registry.send("revoke", DATASETS[1], by=BEN)
    market.refuses("NotAllowed", market.jobs, "start", ID, by=FIRST)
    market.jobs.send("expire", ID, at=DEADLINE)
    assert (market.used, market.owed(OWNER)) == ([0, 0], POT)


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({4: 0}, POT),
        ({5: NOW}, POT),
        ({5: NOW + 40 * 86_400}, POT),
        ({6: []}, POT),
        ({6: [DATASETS[0], DATASETS[0]]}, POT),
        ({6: DATASETS[::-1]}, POT),
        ({6: [bytes([0, at]) * 16 for at in range(65)]}, POT),
        ({}, 0),
    ],
)
def test_impossible_terms_are_refused(market, changes, value) -> None:
    terms = tuple(changes.get(at, field) for at, field in enumerate(TERMS))
    market.refuses("BadTerms", market.jobs, "open", SALT, terms, value=value)


def test_a_job_is_opened_once(market) -> None:
    market.open()
    market.refuses("WrongState", market.jobs, "open", SALT, TERMS, value=POT)


def test_each_withdraws_his_own_and_no_more(market) -> None:
    market.run()
    market.report()
    market.jobs.send("settle", ID, RESULT, by=FIRST)
    target = b"\x77" * 20
    market.refuses("TooLittle", market.vault, "withdraw", target, 8, by=BEN)
    market.refuses("TooLittle", market.vault, "withdraw", target, 0, by=BEN)
    market.vault.send("withdraw", target, 3, by=BEN)
    market.vault.send("withdraw", target, 4, by=BEN)
    market.refuses("TooLittle", market.vault, "withdraw", target, 1, by=BEN)
    assert market.chain.engine.account(target)[1] == 7
    assert market.owed(ANA) == POT - 7


def test_whoever_does_not_sign_sees_no_pay(market) -> None:
    market.run()
    market.report()
    market.jobs.send("settle", ID, RESULT, by=FIRST)
    unsigned = market.chain.query(
        market.vault.address, market.vault.data("myPay"), caller=address(ANA)
    )
    assert int.from_bytes(unsigned, "big") == 0
    assert market.vault.ask("myPay", by=FIRST) == 0


def test_no_event_carries_an_amount(market) -> None:
    amounts = [(POT - 7).to_bytes(32, "big"), (7).to_bytes(32, "big")]
    market.run()
    market.report()
    raw = market.chain.sign(
        FIRST, to=market.jobs.address, data=market.jobs.data("settle", ID, RESULT)
    )
    (record,) = market.chain.run(raw)
    assert record["error"] is None
    assert record["logs"]
    assert not any(amount in cbor2.dumps(record["logs"]) for amount in amounts)


def test_gas_says_nothing_about_who_is_paid_what() -> None:
    """But for the bytes of the calldata that are zero, which the mask makes random."""
    used = set()
    for at, amounts in enumerate([(POT, 0), (0, POT), (POT - 7, 7), (POT // 2, POT - POT // 2)]):
        market = Market()
        market.run()
        result = result_of(*amounts, blind=bytes([at + 1]) * 32)
        market.report(result)
        zeros = market.jobs.data("settle", ID, result).count(0)
        used.add(market.jobs.send("settle", ID, result, by=FIRST) + 12 * zeros)
    assert len(used) == 1


def test_a_worker_hashes_results_as_the_contract_does(market) -> None:
    assert result_hash(ID, Result(tuple(RESULT[0]), *RESULT[1:])) == market.jobs.ask(
        "resultHash", ID, RESULT
    )


def test_a_market_has_an_app() -> None:
    with pytest.raises(AssertionError):
        Contract(Chain(), "JobMarket", app=bytes(21))
