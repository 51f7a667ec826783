"""What contracts ask of consensus: asked once, undone by a revert, told in a later round."""

from typing import Any

import cbor2
import evm_native as native
import pytest
from eth_abi import decode
from eth_account import Account

from shared.encoding.record import decode_record, encode_record
from shared.types.messages import (
    AddEscrowMessage,
    Inbox,
    MessageResult,
    Payout,
    ReclaimEscrowMessage,
    RoundMessage,
    TransferMessage,
    WithdrawMessage,
)
from tests.support.module_calls import (
    FORWARD,
    MINIMUM,
    READ,
    REGRET,
    SWALLOW,
    UNIT,
    amount,
    asked,
    init_code,
)
from tests.unit.native.chain import ACCOUNTS, Chain, address

VALIDATOR, ALICE = b"\0" + b"\x0b" * 20, b"\0" + b"\x0a" * 20
RECEIPT = 2**32 + 7


class Asking:
    """A chain with a contract that forwards to the modules."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.forward = self.chain.deploy(init_code(FORWARD))
        self.own = native.oasis_address(self.forward)

    def round(self, *raws: bytes, inbox: Inbox | None = None) -> native.PendingBlock:
        handed = b"" if inbox is None else encode_record(inbox)
        env = self.chain.environment()
        block = self.chain.engine.execute(env, raws, inbox=handed, strict=True)
        block.persist()
        return block

    def sign(self, method: str, body: Any, *, value: int = 0, to: bytes | None = None) -> bytes:
        return self.chain.sign(to=to or self.forward, data=asked(method, body), value=value)

    def ask(
        self, method: str, body: Any, *, value: int = 0, inbox: Inbox | None = None
    ) -> tuple[int, Any, tuple[RoundMessage, ...]]:
        """Status, answer, and what the round asks of consensus."""
        block = self.round(self.sign(method, body, value=value), inbox=inbox)
        record = cbor2.loads(block.results[0])
        assert record["error"] is None, record["error"]
        status, data = decode(["uint64", "bytes"], record["output"])
        messages = tuple(decode_record(RoundMessage, raw) for raw in block.messages)
        return status, data.decode() if status else cbor2.loads(data), messages

    def take(self, kind: int, inbox: Inbox | None = None, receipt: int = RECEIPT) -> Any:
        body = {"id": receipt, "kind": kind}
        status, receipt_, _ = self.ask("consensus.TakeReceipt", body, inbox=inbox)
        assert status == 0
        return receipt_

    def shares(self) -> int:
        body = {"from": self.own, "to": VALIDATOR}
        data = self.chain.query(self.forward, asked("consensus.Delegation", body))
        status, answer = decode(["uint64", "bytes"], data)
        assert status == 0
        return int.from_bytes(cbor2.loads(answer)["shares"], "big")

    def balance(self, account: bytes | None = None) -> int:
        return self.chain.engine.account(account or self.forward)[1]

    def delegate(self, **changes: Any) -> tuple[int, Any, tuple[RoundMessage, ...]]:
        body = {"to": VALIDATOR, "amount": amount(MINIMUM), "receipt": RECEIPT}
        return self.ask("consensus.Delegate", body | changes, value=MINIMUM)


@pytest.fixture
def asking() -> Asking:
    return Asking()


def done(**fields: int) -> Inbox:
    return Inbox((MessageResult(**fields),))


def refused() -> Inbox:
    return Inbox((MessageResult("staking", 1),))


def test_delegated_tokens_are_set_aside_and_shares_are_told(asking: Asking) -> None:
    told = RoundMessage(add_escrow=AddEscrowMessage(VALIDATOR, MINIMUM // UNIT))
    assert asking.delegate() == (0, None, (told,))
    assert asking.balance() == 0
    assert asking.shares() == 0
    receipt = asking.take(1, done(shares=77))
    assert receipt == {"shares": bytes([77])}
    assert asking.shares() == 77
    assert asking.take(1) is None, "a receipt is taken once"


def test_refused_delegations_come_back(asking: Asking) -> None:
    asking.delegate()
    assert asking.take(1, refused()) == {"error": {"module": "staking", "code": 1}}
    assert (asking.balance(), asking.shares()) == (MINIMUM, 0)


def test_a_receipt_is_there_only_when_consensus_has_answered(asking: Asking) -> None:
    asking.delegate()
    assert asking.take(1) is None


def test_undelegated_stake_comes_back_at_its_epoch(asking: Asking) -> None:
    asking.delegate()
    asking.round(inbox=done(shares=100))
    body = {"from": VALIDATOR, "shares": bytes([60]), "receipt": RECEIPT + 1}
    told = RoundMessage(reclaim_escrow=ReclaimEscrowMessage(VALIDATOR, 60))
    assert asking.ask("consensus.Undelegate", body) == (0, None, (told,))
    assert asking.shares() == 40
    start = asking.take(2, done(shares=60, epoch=12), RECEIPT + 1)
    assert start == {"epoch": 12, "receipt": RECEIPT + 1}
    paid = Inbox(payouts=(Payout(12, VALIDATOR, 61),))
    assert asking.take(3, paid, RECEIPT + 1) == {"amount": (61 * UNIT).to_bytes(5, "big")}
    assert asking.balance() == 61 * UNIT


def test_refused_undelegations_leave_the_shares(asking: Asking) -> None:
    asking.delegate()
    asking.round(inbox=done(shares=100))
    asking.ask("consensus.Undelegate", {"from": VALIDATOR, "shares": bytes([60])})
    asking.round(inbox=refused())
    assert asking.shares() == 100


def test_one_payout_is_shared_by_shares_to_the_last_unit(asking: Asking) -> None:
    other = Asking.__new__(Asking)
    other.chain, other.forward = asking.chain, asking.chain.deploy(init_code(FORWARD))
    other.own = native.oasis_address(other.forward)
    for one, shares in ((asking, 100), (other, 50)):
        one.delegate()
        one.round(inbox=done(shares=shares))
    for one, shares in ((asking, 100), (other, 50)):
        one.ask("consensus.Undelegate", {"from": VALIDATOR, "shares": bytes([shares])})
        one.round(inbox=done(shares=shares, epoch=12))
    asking.round(inbox=Inbox(payouts=(Payout(12, VALIDATOR, 100), Payout(13, VALIDATOR, 9))))
    paid = asking.balance() // UNIT, other.balance() // UNIT
    assert sum(paid) == 100
    assert sorted(paid) in ([33, 67], [34, 66])


def test_withdrawn_tokens_leave_and_come_back_where_they_are_refused(asking: Asking) -> None:
    body = {"to": ALICE, "amount": amount(5 * UNIT)}
    told = RoundMessage(transfer=TransferMessage(ALICE, 5))
    assert asking.ask("consensus.Withdraw", body, value=7 * UNIT) == (0, None, (told,))
    asking.round(inbox=done())
    assert asking.balance() == 2 * UNIT
    body = {"amount": amount(UNIT)}
    told = RoundMessage(transfer=TransferMessage(asking.own, 1))
    assert asking.ask("consensus.Withdraw", body) == (0, None, (told,))
    asking.round(inbox=refused())
    assert asking.balance() == 2 * UNIT


def test_deposited_tokens_are_made_when_consensus_has_them(asking: Asking) -> None:
    payee = Account.create()
    to = native.oasis_address(address(payee))
    told = RoundMessage(withdraw=WithdrawMessage(asking.own, 3))
    for inbox, balance in ((refused(), 0), (done(), 3 * UNIT)):
        body = {"to": to, "amount": amount(3 * UNIT)}
        assert asking.ask("consensus.Deposit", body) == (0, None, (told,))
        assert asking.balance(address(payee)) == 0
        asking.round(inbox=inbox)
        assert asking.balance(address(payee)) == balance


@pytest.mark.parametrize(
    ("method", "body", "refusal"),
    [
        ("Delegate", {"to": VALIDATOR, "amount": amount(MINIMUM - UNIT)}, (6, "consensus")),
        ("Delegate", {"to": VALIDATOR, "amount": amount(MINIMUM + 1)}, (5, "consensus")),
        ("Delegate", {"to": VALIDATOR, "amount": amount(2 * MINIMUM)}, (3, "consensus_accounts")),
        ("Delegate", {"to": VALIDATOR, "amount": [b"\1", b"X"]}, (2, "consensus")),
        ("Delegate", {"amount": amount(MINIMUM)}, (10, "core")),
        ("Delegate", {"to": b"short", "amount": amount(MINIMUM)}, (10, "core")),
        ("Delegate", {"to": VALIDATOR, "amount": amount(MINIMUM), "x": 1}, (10, "core")),
        ("Withdraw", {"amount": amount((2**64) * UNIT)}, (5, "consensus")),
        ("Withdraw", {"to": b"\0", "amount": amount(0)}, (10, "core")),
        ("Undelegate", {"from": VALIDATOR, "shares": b"\1"}, (3, "consensus_accounts")),
        ("Undelegate", {"from": VALIDATOR, "shares": b"\1" * 9}, (5, "consensus")),
        ("TakeReceipt", {"id": 1, "kind": 0}, (1, "consensus_accounts")),
        ("TakeReceipt", {"id": 1, "kind": 300}, (1, "consensus_accounts")),
        ("Delegation", None, (10, "core")),
        ("NoSuch", {}, (3, "core")),
    ],
    ids=range(15),
)
def test_bad_requests_are_refused_and_leave_nothing(
    asking: Asking, method: str, body: Any, refusal: tuple[int, str]
) -> None:
    status, answer, messages = asking.ask(f"consensus.{method}", body, value=MINIMUM)
    assert (status, answer) == refusal
    assert messages == ()
    assert asking.balance() == MINIMUM


def test_a_revert_takes_everything_back(asking: Asking) -> None:
    chain = asking.chain
    regret, swallow = chain.deploy(init_code(REGRET)), chain.deploy(init_code(SWALLOW))
    body = asked("consensus.Withdraw", {"amount": amount(0)})
    inner = bytes(12) + regret + body
    block = asking.round(chain.sign(to=swallow, data=inner))
    assert cbor2.loads(block.results[0])["error"] is None
    assert block.messages == ()
    # The same within one transaction: what stands is the message of the frame that stays.
    nested = bytes(12) + swallow + inner
    kept = bytes(12) + asking.forward + body
    raws = [
        chain.sign(to=swallow, data=data, nonce=nonce)
        for nonce, data in enumerate_from(chain, nested, kept)
    ]
    block = asking.round(*raws)
    assert len(block.messages) == 1
    asking.round(inbox=done())


def enumerate_from(chain: Chain, *items: bytes) -> list[tuple[int, bytes]]:
    nonce, _ = chain.engine.account(address(ACCOUNTS[0]))
    return [(nonce + number, item) for number, item in enumerate(items)]


def test_a_transaction_that_fails_asks_for_nothing(asking: Asking) -> None:
    regret = asking.chain.deploy(init_code(REGRET))
    raw = asking.sign("consensus.Withdraw", {"amount": amount(0)}, to=regret)
    block = asking.round(raw)
    assert cbor2.loads(block.results[0])["error"] is not None
    assert block.messages == ()


def test_a_receipt_survives_a_revert_and_a_question(asking: Asking) -> None:
    chain = asking.chain
    asking.delegate()
    body = asked("consensus.TakeReceipt", {"id": RECEIPT, "kind": 1})
    asking.round(inbox=done(shares=1))
    chain.query(asking.forward, body)
    chain.estimate(asking.forward, body)
    assert asking.take(1) == {"shares": b"\1"}


def test_static_calls_change_nothing(asking: Asking) -> None:
    reader = asking.chain.deploy(init_code(READ))
    for method, body, expected in (
        ("consensus.Withdraw", {"amount": amount(0)}, (25, b"core")),
        ("consensus.TakeReceipt", {"id": 1, "kind": 1}, (25, b"core")),
        ("consensus.Delegation", {"from": ALICE, "to": ALICE}, (0, b"\xa1fshares@")),
    ):
        answer = asking.chain.query(reader, asked(method, body))
        assert decode(["uint64", "bytes"], answer) == expected


def test_a_round_asks_for_no_more_than_consensus_does(asking: Asking) -> None:
    chain = asking.chain
    body = asked("consensus.Withdraw", {"amount": amount(0)})
    raws = [
        chain.sign(to=asking.forward, data=data, nonce=nonce, gas=200_000)
        for nonce, data in enumerate_from(chain, *[body] * 33)
    ]
    block = asking.round(*raws)
    assert len(block.messages) == 32
    last = cbor2.loads(block.results[-1])
    assert decode(["uint64", "bytes"], last["output"]) == (6, b"core")
    asking.round(inbox=Inbox((MessageResult(),) * 32))


def test_an_inbox_that_answers_other_messages_stops_the_chain_loudly(asking: Asking) -> None:
    with pytest.raises(native.StateError):
        asking.round(inbox=done())
    with pytest.raises(native.ConfigError):
        asking.chain.engine.execute(
            asking.chain.environment(), [], inbox=b"\xa1\x61x\x00", strict=True
        )


def test_no_contract_is_asked_by_an_app_here(asking: Asking) -> None:
    app = b"\0" * 21
    for method, body, expected in (
        ("rofl.IsAuthorizedOrigin", app, (0, False)),
        ("rofl.AuthorizedOriginNode", app, (12, "rofl")),
        ("rofl.AuthorizedOriginEntity", app, (12, "rofl")),
        ("rofl.OriginApp", None, (12, "rofl")),
        ("rofl.IsAuthorizedOrigin", b"short", (1, "rofl")),
        ("rofl.OriginApp", 1, (1, "rofl")),
        ("rofl.Register", {}, (11, "rofl")),
    ):
        status, answer, messages = asking.ask(method, body)
        assert ((status, answer), messages) == (expected, ())
