"""What to do about a transaction that would have had enough gas on Ethereum, and failed here."""

from typing import Final

from services.gateway.index.rounds import IndexedTransaction
from services.gateway.rpc.ethereum_words import EXECUTION_FAILED, OUT_OF_GAS, intrinsic_gas

SIGNATURE_GAS: Final = 1_000
BYTE_GAS: Final = 1
"""Of each byte of a transaction. Source: `crates/evm-core/src/config.rs`."""
MAX_BYTES_BESIDE_INPUT: Final = 256
"""Of a transaction without access list, and more."""
HINT: Final = (
    "this chain charges for a transaction's size and signature too, as Sapphire does: send what "
    "eth_estimateGas says. A new network that was started with --profile dev, or has "
    "ethereum_gas = true in its file, charges what Ethereum does"
)


def hint_for(transaction: IndexedTransaction) -> str | None:
    """
    Give the hint for a failed transaction on a chain that charges for size; mostly None.

    It is for those whose gas begins a transaction on Ethereum, and none here: a transfer with
    21,000 gas. What an envelope holds is not known, and counts as nothing.
    """
    record = transaction.record
    failure = record.error
    if failure is None or (failure.module, failure.code) != EXECUTION_FAILED:
        return None
    if not failure.message.endswith(OUT_OF_GAS):
        return None
    plain = b"" if record.encrypted else record.input
    least = intrinsic_gas(plain, creates=record.to is None)
    owed = SIGNATURE_GAS + (len(record.input) + MAX_BYTES_BESIDE_INPUT) * BYTE_GAS
    return HINT if least <= record.gas < least + owed else None
