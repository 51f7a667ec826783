"""
What a consensus transaction costs: consensus charges it, senders work it out beforehand.

Source: oasis-core go/consensus/api/transaction/gas.go @ f9f1fdc.
"""

from shared.types.genesis import ConsensusParameters
from shared.types.transaction import Fee


def gas_of(rules: ConsensusParameters, method: str, size_bytes: int) -> int:
    """Gas that a transaction uses: for its size [bytes], and for its method."""
    return size_bytes * rules.gas_tx_byte + (rules.gas_costs or {}).get(method, 0)


def build_fee(rules: ConsensusParameters, method: str, size_bytes: int) -> Fee | None:
    """Build the lowest fee that consensus takes; None where it asks for nothing."""
    gas = gas_of(rules, method, size_bytes)
    if gas == 0 and rules.min_gas_price == 0:
        return None
    # Without gas there is no price, and a price is asked for.
    gas = max(gas, 1)
    return Fee(gas * rules.min_gas_price, gas)
