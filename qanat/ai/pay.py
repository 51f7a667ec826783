"""What rows have earned: each account sees its own sum, by a signed query, and nobody else's."""

from qanat.ai.market import Market

__all__ = ["mine", "withdraw"]


def mine(market: Market) -> int:
    """Give what the market owes the account that it is asked as [wei]. Raises `GatewayAway`."""
    return market.my_pay_wei()


def withdraw(market: Market) -> int:
    """Take all of it; gives how much that was [wei]. Raises `ContractRefused`, `GatewayAway`."""
    owed = market.my_pay_wei()
    if owed:
        market.withdraw(owed)
    return owed
