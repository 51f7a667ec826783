"""
Whether a round's transactions and results are those that were agreed on.

A header names the root over both (its I/O root); a node that shows others under a true header lies.
"""

from evm_native import StateError, io_root

from shared.crypto.hashes import EMPTY_HASH
from shared.errors import Unavailable
from shared.types.block import RoundBlock, has_its_results
from shared.types.identity import Round


class ForgedResults(Unavailable, module="gateway", code=8):
    """A node shows results, or transactions, that are not those under the header."""


def contents_root(
    round_: Round, transactions: tuple[bytes, ...], results: tuple[bytes, ...]
) -> bytes:
    """I/O root of what a node shows of a round, 32 bytes; `ForgedResults` where there is none."""
    if not transactions and not results:
        return EMPTY_HASH
    try:
        return io_root(transactions, results)
    except StateError as error:
        raise ForgedResults(f"round {round_} has no I/O root: {error}") from error


def verify_results(untrusted: RoundBlock) -> None:
    """Verify a block's contents against its header, which is proven; or raise `ForgedResults`."""
    header = untrusted.header
    root = contents_root(header.round, untrusted.transactions, untrusted.results)
    if not has_its_results(untrusted) or root != header.io_root:
        raise ForgedResults(
            f"round {header.round} has the I/O root {header.io_root.hex()}, and what was shown "
            f"under it {root.hex()}"
        )
