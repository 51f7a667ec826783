"""Pages of the state of a public chain: whoever asks reads all of it, piece by piece."""

import evm_native

from shared.errors import RuntimeRejected
from shared.types.evm import ACCOUNTS, CODES, SLOTS, StateItems, StateQuery
from shared.types.identity import Hash, Round

PAGE_ITEMS = 1_000
"""Of 24 KiB of code at most: a page stays far below what one frame may hold."""
PAGE_BYTES = 512 * 1024
"""Length of the values after which a page ends."""
UNREADABLE = ("state", 1)


def read_page(store: evm_native.Store, query: StateQuery, version: Round, root: Hash) -> StateItems:
    """Read what follows `start`; raises `RuntimeRejected` for what is no part of the state."""
    if query.prefix not in (ACCOUNTS, CODES, SLOTS):
        raise RuntimeRejected(*UNREADABLE, f"no part of the state: {query.prefix.hex()}")
    found = store.scan(
        query.prefix, start=query.start, limit=PAGE_ITEMS, version=version, root=root
    )
    length, taken = 0, 0
    for _, value in found:
        if taken and length + len(value) > PAGE_BYTES:
            break
        length, taken = length + len(value), taken + 1
    is_last = taken == len(found) < PAGE_ITEMS
    return StateItems(tuple(found[:taken]), is_last)
