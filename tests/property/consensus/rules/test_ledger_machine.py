"""The ledger against plain integers: no token appears, disappears, or moves by a failed method."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.consensus.rules.staking import escrow, ledger
from services.consensus.rules.state import CommittedState, State
from shared.crypto.state_tree import StateTree
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.staking import Delegation, Supply

ADDRESSES = [b"\x00" + bytes([index]) * 20 for index in range(1, 5)]
START = 1_000
addresses = st.sampled_from(ADDRESSES)
amounts = st.one_of(st.integers(-2, 40), st.integers(0, 3_000))


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = State(CommittedState(StateTree.empty()))
        self.supply = START * len(ADDRESSES)
        self.epoch = 1
        self.balances = dict.fromkeys(ADDRESSES, START)
        self.allowed: dict[tuple[bytes, bytes], int] = {}
        for address in ADDRESSES:
            ledger.give(self.state, address, START)
        self.state.save(state_keys.SUPPLY, Supply(self.supply))

    def attempt(self, action) -> bool:
        """Run an action as a transaction does; a refused one must leave no trace."""
        before = self.state.changes()
        try:
            with self.state.attempt():
                action()
        except Rejected:
            assert self.state.changes() == before
            return False
        return True

    @rule(source=addresses, to=addresses, amount=amounts)
    def transfer(self, source, to, amount) -> None:
        done = self.attempt(lambda: ledger.apply_transfer(self.state, source, to, amount))
        assert done == (0 < amount <= self.balances[source])
        if done:
            self.balances[source] -= amount
            self.balances[to] += amount

    @rule(source=addresses, amount=amounts)
    def burn(self, source, amount) -> None:
        done = self.attempt(lambda: ledger.apply_burn(self.state, source, amount))
        assert done == (0 < amount <= self.balances[source])
        if done:
            self.balances[source] -= amount
            self.supply -= amount

    @rule(owner=addresses, beneficiary=addresses, change=st.integers(-50, 50))
    def allow(self, owner, beneficiary, change) -> None:
        done = self.attempt(lambda: ledger.apply_allow(self.state, owner, beneficiary, change))
        assert done == (change != 0 and owner != beneficiary)
        if done:
            pair = (owner, beneficiary)
            self.allowed[pair] = max(self.allowed.get(pair, 0) + change, 0)

    @rule(beneficiary=addresses, owner=addresses, amount=amounts)
    def withdraw(self, beneficiary, owner, amount) -> None:
        pair = (owner, beneficiary)
        done = self.attempt(lambda: ledger.apply_withdraw(self.state, beneficiary, owner, amount))
        assert done == (0 < amount <= min(self.allowed.get(pair, 0), self.balances[owner]))
        if done:
            self.allowed[pair] -= amount
            self.balances[owner] -= amount
            self.balances[beneficiary] += amount

    @rule(delegator=addresses, address=addresses, amount=amounts)
    def delegate(self, delegator, address, amount) -> None:
        action = lambda: escrow.apply_add_escrow(self.state, delegator, address, amount)  # noqa: E731
        if self.attempt(action):
            assert 0 < amount <= self.balances[delegator]
            self.balances[delegator] -= amount

    @rule(delegator=addresses, address=addresses, shares=amounts, wait=st.integers(0, 3))
    def reclaim(self, delegator, address, shares, wait) -> None:
        key = state_keys.delegation_key(address, delegator)
        owned = (self.state.load(Delegation, key) or Delegation(0)).shares
        done = self.attempt(
            lambda: escrow.apply_reclaim_escrow(
                self.state, delegator, address, shares, end_epoch=self.epoch + wait
            )
        )
        assert not done or 0 < shares <= owned

    @rule(address=addresses, amount=st.integers(0, 2_000))
    def slash(self, address, amount) -> None:
        account = ledger.load_account(self.state, address)
        stake = account.active.balance + account.debonding.balance
        taken = escrow.slash(self.state, address, amount, "test")
        assert taken == min(amount, stake)
        ledger.give(self.state, ledger.COMMON_POOL, taken)

    @rule(address=addresses, amount=st.integers(0, 50))
    def reward(self, address, amount) -> None:
        pool = ledger.load_account(self.state, ledger.COMMON_POOL).balance
        paid = min(amount, pool)
        ledger.take(self.state, ledger.COMMON_POOL, paid)
        escrow.reward_stake(self.state, address, paid)

    @rule()
    def pay_out(self) -> None:
        self.epoch += 1
        before = {a: ledger.load_account(self.state, a).balance for a in ADDRESSES}
        escrow.pay_debonded(self.state, self.epoch)
        for address in ADDRESSES:
            gain = ledger.load_account(self.state, address).balance - before[address]
            assert gain >= 0
            self.balances[address] += gain

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        assert ledger.measure_supply(self.state) == self.supply
        assert self.state.load(Supply, state_keys.SUPPLY) == Supply(self.supply)

    @invariant()
    def balances_are_what_the_model_says(self) -> None:
        for address, balance in self.balances.items():
            assert ledger.load_account(self.state, address).balance == balance

    @invariant()
    def shares_add_up_and_nothing_is_negative(self) -> None:
        for address in ADDRESSES:
            account = ledger.load_account(self.state, address)
            prefix = state_keys.delegation_key(address, b"")
            owned = sum(d.shares for _, d in self.state.scan(Delegation, prefix))
            assert account.active.total_shares == owned
            parts = (account.balance, account.active.balance, account.debonding.balance)
            assert min(parts) >= 0


TestLedgerMachine = LedgerMachine.TestCase
