"""
What gas costs: the price oracle and the fee history. Pure.

Source: oasis-web3-gateway gas/{backend,fee_history}.go @ 40bf2d3.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.index.record import number
from services.gateway.index.rounds import IndexedRound

BLOCK_GAS_LIMIT = 15_000_000
"""Gas of a round [gas]. Source: Sapphire runtime, batch gas limit."""
FULL_PERCENT = 50
"""A round that uses this much of the gas is full [%]."""


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """Answer to `eth_feeHistory`; `rounds` is empty where nothing is known."""

    oldest_round: int
    base_fees_wei: tuple[int, ...]
    gas_used_ratios: tuple[float, ...]
    rewards_wei: tuple[tuple[int, ...], ...]
    """For each round the tip at each percentile asked for."""


NO_HISTORY = FeeHistory(0, (), (), ())


@dataclass(frozen=True, slots=True)
class RoundFees:
    """What one round says of prices."""

    number: int
    base_fee_wei: int
    gas_used: int
    tips: tuple[tuple[int, int], ...]
    """(tip, gas used) of each transaction, by rising tip."""

    def percentile_tips(self, percentiles: Sequence[float]) -> tuple[int, ...]:
        """Tip that each share of the gas paid at most [wei/gas]."""
        if not self.tips:
            return (0,) * len(percentiles)
        answer = []
        position, gas = 0, self.tips[0][1]
        for percentile in percentiles:
            wanted = int(self.gas_used * percentile / 100)
            while gas < wanted and position < len(self.tips) - 1:
                position += 1
                gas += self.tips[position][1]
            answer.append(self.tips[position][0])
        return tuple(answer)


class FeeTracker:
    """Looks at each round once; keeps the last few."""

    def __init__(
        self, *, history_rounds: int, window_rounds: int, margin_wei: int, default_price_wei: int
    ) -> None:
        self._history: deque[RoundFees] = deque(maxlen=history_rounds)
        self._full_prices: deque[tuple[int, int]] = deque(maxlen=window_rounds)
        self._margin_wei = margin_wei
        self.min_price_wei = default_price_wei
        """Newest minimum price that a node named."""

    def add(self, round_: IndexedRound) -> None:
        """Take the next round; its base fee is the minimum price known now."""
        records = [transaction.record for transaction in round_.transactions]
        tips = sorted(
            (min(number(record.max_tip), number(record.max_fee)), record.gas_used)
            for record in records
        )
        self._history.append(
            RoundFees(round_.number, self.min_price_wei, round_.gas_used, tuple(tips))
        )
        price = 0
        if records and round_.gas_used * 100 >= BLOCK_GAS_LIMIT * FULL_PERCENT:
            prices = sorted(number(record.gas_price) for record in records)
            price = prices[len(prices) // 2] + self._margin_wei
        self._full_prices.append((round_.number, price))

    def rollback(self, round_number: int) -> None:
        """Forget the rounds after one."""
        while self._history and self._history[-1].number > round_number:
            self._history.pop()
        while self._full_prices and self._full_prices[-1][0] > round_number:
            self._full_prices.pop()

    def gas_price_wei(self) -> int:
        """Minimum price, or what recent full rounds paid in the middle plus a margin."""
        return max(self.min_price_wei, *(price for _, price in self._full_prices), 0)

    def history(self, count: int, last: int | None, percentiles: Sequence[float]) -> FeeHistory:
        """
        Give the fees of up to `count` rounds that end at `last`; None is the newest.

        Nothing where `last` is not among the rounds kept.
        """
        rounds = list(self._history)
        if last is not None:
            rounds = [fees for fees in rounds if fees.number <= last]
            if rounds and rounds[-1].number != last:
                return NO_HISTORY
        rounds = rounds[-count:] if count > 0 else []
        if not rounds:
            return NO_HISTORY
        return FeeHistory(
            oldest_round=rounds[0].number,
            base_fees_wei=tuple(fees.base_fee_wei for fees in rounds),
            gas_used_ratios=tuple(fees.gas_used / BLOCK_GAS_LIMIT for fees in rounds),
            rewards_wei=tuple(fees.percentile_tips(percentiles) for fees in rounds),
        )
