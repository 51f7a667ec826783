"""
Whether a round's transactions and results are those that were agreed on.

A header names the root over both (its I/O root); a node that shows others under a true header lies.
"""

from evm_native import StateError, io_root

from shared.crypto.hashes import EMPTY_HASH
from shared.errors import Unavailable
from shared.types.block import RoundBlock, has_its_results


class ForgedResults(Unavailable, module="gateway", code=8):
    """A node shows results, or transactions, that are not those under the header."""


def verify_results(untrusted: RoundBlock) -> None:
    """Verify a block's contents against its header, which is proven; or raise `ForgedResults`."""
    header = untrusted.header
    root = EMPTY_HASH
    if untrusted.transactions or untrusted.results:
        try:
            root = io_root(untrusted.transactions, untrusted.results)
        except StateError as error:
            raise ForgedResults(f"round {header.round} has no I/O root: {error}") from error
    if not has_its_results(untrusted) or root != header.io_root:
        raise ForgedResults(
            f"round {header.round} has the I/O root {header.io_root.hex()}, and what was shown "
            f"under it {root.hex()}"
        )
