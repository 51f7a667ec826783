"""What contracts hear of consensus, by upstream's rules, and what they are refused with."""

from typing import Any

import cbor2
import evm_native as native
import pytest
from eth_abi import decode

from runtimes.evm.figures import GAS, Figures
from shared.errors import PeerUnavailable
from tests.support.module_calls import FORWARD, READ, asked, init_code
from tests.unit.native.chain import Chain

VALIDATOR, ALICE = b"\0" + b"\x0b" * 20, b"\0" + b"\x0a" * 20
PARATIME, UNKNOWN = b"\x80" + bytes(31), b"\x81" + bytes(31)
ROOTS = (b"\x0e" * 32, b"\x0f" * 32)
POOL = {"address": VALIDATOR, "pool": 1, "shares": b"\1"}
ROUND = {"runtime_id": PARATIME, "round": 7, "kind": 1}


class Held:
    """A state of consensus in which a validator was slashed. Stands for a `ConsensusView`."""

    def __init__(self) -> None:
        self.fails = False

    def escrow(self, address: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
        if self.fails:
            raise PeerUnavailable("consensus does not answer")
        return ((900, 1_000), (2**64 - 1, 3)) if address == VALIDATOR else ((0, 0), (0, 0))

    def round_roots(self, runtime_id: bytes, round_: int) -> tuple[bytes, bytes] | None:
        return ROOTS if (runtime_id, round_) == (PARATIME, 7) else None


class Reading:
    """A chain beside consensus, with a contract that forwards to the modules."""

    def __init__(self) -> None:
        self.held: Any = Held()
        self.figures = Figures()
        self.chain = Chain(subcall=self.figures)
        self.forward = self.chain.deploy(init_code(FORWARD))

    def run(self, data: bytes, **fields: Any) -> tuple[int, bytes, int]:
        """Status, answer and gas of what a transaction asks."""
        raw = self.chain.sign(**{"to": self.forward, "data": data} | fields)
        with self.figures.of(self.held):
            (record,) = self.chain.run(raw)
        assert record["error"] is None, record["error"]
        return *decode(["uint64", "bytes"], record["output"]), record["gas_used"]

    def ask(self, method: str, body: Any) -> tuple[int, Any]:
        status, data, _ = self.run(asked(f"consensus.{method}", body))
        return status, data.decode() if status else cbor2.loads(data)


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.mark.parametrize(
    ("pool", "shares", "tokens"),
    [
        (1, b"", b""),
        (1, b"\x0b", b"\x09"),
        (1, (1_000).to_bytes(16, "big"), (900).to_bytes(2, "big")),
        (2, b"\x03", b"\xff" * 8),
        (2, b"\xff" * 8, ((2**64 - 1) ** 2 // 3).to_bytes(16, "big")),
    ],
    ids=range(5),
)
def test_shares_are_worth_their_part_of_the_pool(
    reading: Reading, pool: int, shares: bytes, tokens: bytes
) -> None:
    body = {"address": VALIDATOR, "pool": pool, "shares": shares}
    assert reading.ask("SharesToTokens", body) == (0, tokens)


def test_roots_of_rounds_are_told_or_null(reading: Reading) -> None:
    for runtime_id, round_, kind, root in (
        (PARATIME, 7, 1, ROOTS[0]),
        (PARATIME, 7, 2, ROOTS[1]),
        (PARATIME, 8, 1, None),
        (PARATIME, 2**64 - 1, 1, None),
        (UNKNOWN, 7, 2, None),
    ):
        body = {"runtime_id": runtime_id, "round": round_, "kind": kind}
        assert reading.ask("RoundRoot", body) == (0, root)


@pytest.mark.parametrize(
    ("method", "body", "refusal"),
    [
        ("SharesToTokens", POOL | {"address": ALICE}, (1, "consensus_accounts")),
        ("SharesToTokens", POOL | {"pool": 0}, (1, "consensus_accounts")),
        ("SharesToTokens", {"address": VALIDATOR, "shares": b""}, (1, "consensus_accounts")),
        ("SharesToTokens", POOL | {"shares": b"\xff" * 16}, (1, "consensus_accounts")),
        ("SharesToTokens", POOL | {"pool": 3}, (10, "core")),
        ("SharesToTokens", POOL | {"pool": True}, (10, "core")),
        ("SharesToTokens", POOL | {"pool": "active"}, (10, "core")),
        ("SharesToTokens", POOL | {"shares": b"\1" + bytes(16)}, (10, "core")),
        ("SharesToTokens", POOL | {"shares": 1}, (10, "core")),
        ("SharesToTokens", POOL | {"address": b"short"}, (10, "core")),
        ("SharesToTokens", POOL | {"more": 1}, (10, "core")),
        ("SharesToTokens", None, (10, "core")),
        ("RoundRoot", ROUND | {"kind": 0}, (10, "core")),
        ("RoundRoot", ROUND | {"kind": 3}, (10, "core")),
        ("RoundRoot", ROUND | {"runtime_id": b"\x80"}, (10, "core")),
        ("RoundRoot", ROUND | {"round": -1}, (10, "core")),
        ("RoundRoot", ROUND | {1: 1}, (10, "core")),
        ("RoundRoot", [PARATIME, 7, 1], (10, "core")),
        ("NoSuch", ROUND, (3, "core")),
    ],
    ids=range(19),
)
def test_bad_questions_are_refused(
    reading: Reading, method: str, body: Any, refusal: tuple[int, str]
) -> None:
    assert reading.ask(method, body) == refusal


def test_a_question_costs_ten_thousand_gas(reading: Reading) -> None:
    data = asked("consensus.RoundRoot", ROUND)
    status, _, gas = reading.run(data)
    assert (status, GAS) == (0, 10_000)
    assert reading.run(data, gas=gas - GAS // 2)[:2] == (12, b"core")
    reading.held = None  # no such method: the same transaction, but for the answer
    _, _, without = reading.run(data)
    assert gas - without in range(GAS, GAS + 100)


def test_static_calls_and_clients_may_ask(reading: Reading) -> None:
    data = asked("consensus.RoundRoot", ROUND)
    reader = reading.chain.deploy(init_code(READ))
    status, answer, _ = reading.run(data, to=reader)
    assert (status, cbor2.loads(answer)) == (0, ROOTS[0])
    with reading.figures.of(reading.held):
        looked = reading.chain.query(reading.forward, data)
    assert decode(["uint64", "bytes"], looked) == (0, answer)


def test_a_round_that_cannot_read_consensus_is_not_made(reading: Reading) -> None:
    reading.held.fails = True
    with pytest.raises(native.HostError) as caught:
        reading.ask("SharesToTokens", POOL)
    assert isinstance(caught.value.__cause__, PeerUnavailable)
    reading.held.fails = False
    assert reading.ask("SharesToTokens", POOL) == (0, b"")


def test_a_chain_beside_no_consensus_has_no_such_methods(reading: Reading) -> None:
    reading.held = None
    for method, body in (("SharesToTokens", POOL), ("RoundRoot", ROUND)):
        assert reading.ask(method, body) == (3, "core")
