"""The pool against a model that sorts everything anew each time."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.compute.rules.txpool import (
    BatchLimits,
    PooledTransaction,
    PoolFull,
    PoolState,
    apply_round,
    apply_transaction,
    find_missing,
    has_runnable,
    iterate_in_order,
    select_batch,
)
from shared.errors import QanatError
from tests.support.short_run import examples

LIMITS = BatchLimits(max_transactions=4, max_bytes=10_000, max_weight=100_000)
GAS = 30_000
CAPACITY = 8
WINDOW = 9
SENDERS = tuple(name * 20 for name in (b"a", b"b", b"c"))


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = PoolState(LIMITS, WINDOW, max_transactions=CAPACITY)
        self.nonces = dict.fromkeys(SENDERS, 0)
        self.model: dict[tuple[bytes, int], tuple[int, int, bytes]] = {}
        """(sender, nonce) to (price, arrival, raw)."""
        self.count = 0

    @rule(
        sender=st.sampled_from(SENDERS),
        ahead=st.integers(-2, WINDOW + 2),
        price=st.integers(1, 4),
    )
    def submit(self, sender: bytes, ahead: int, price: int) -> None:
        self.count += 1
        nonce = self.nonces[sender] + ahead
        raw = f"{self.count}".encode().ljust(40, b".")
        tx = PooledTransaction(raw, raw[:32], sender, nonce, price, GAS)
        old = self.model.get((sender, nonce))
        is_allowed = 0 <= ahead <= WINDOW and (old is None or price > old[0])
        was_full = len(self.model) == CAPACITY
        try:
            apply_transaction(self.state, tx, state_sequence=self.nonces[sender])
        except PoolFull:
            assert is_allowed
            assert was_full
            return
        except QanatError:
            assert not is_allowed
            return
        assert is_allowed
        self.model[sender, nonce] = (price, self.count, raw)
        for key in [k for k, entry in self.model.items() if entry[2] not in self.state.by_raw]:
            # Only a full pool drops, only for a dearer one, and the last of a sender first.
            assert was_full
            assert self.model.pop(key)[0] < price
            assert not any(s == key[0] and n > key[1] for s, n in self.model)

    @rule(data=st.data())
    def finalize(self, data: st.DataObject) -> None:
        batch = select_batch(self.state)
        done = batch[: data.draw(st.integers(0, len(batch)))]
        apply_round(self.state, [(tx.sender, tx.sequence) for tx in done])
        for tx in done:
            self.nonces[tx.sender] = tx.sequence + 1
            del self.model[tx.sender, tx.sequence]

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        raws = {entry[2] for entry in self.model.values()}
        assert set(self.state.by_raw) == raws
        assert self.state.size_bytes == sum(map(len, raws))
        assert len(self.state) <= CAPACITY

    @invariant()
    def knows_which_sequence_is_missing(self) -> None:
        for sender, sequence in self.nonces.items():
            missing = sequence
            while (sender, missing) in self.model:
                missing += 1
            assert (find_missing(self.state, sender) or 0) == missing

    @invariant()
    def runs_in_the_models_order(self) -> None:
        nonces, left = dict(self.nonces), dict(self.model)
        expected = []
        while heads := [key for key in nonces.items() if key in left]:
            best = min(heads, key=lambda key: (-left[key][0], left[key][1]))
            expected.append(left.pop(best)[2])
            nonces[best[0]] += 1
        assert [tx.raw for tx in iterate_in_order(self.state)] == expected
        assert has_runnable(self.state) == bool(expected)
        fitting = min(LIMITS.max_transactions, LIMITS.max_weight // GAS)
        assert [tx.raw for tx in select_batch(self.state)] == expected[:fitting]


PoolMachine.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=30, deadline=None
)
TestPool = PoolMachine.TestCase
