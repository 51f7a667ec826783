"""
The EVM's state as somebody without any key sees it, and can forge it: entries, diffs and roots.

Independent of the native core: the root is computed from all entries, as `docs` of the tree say.
"""

from collections.abc import Mapping

from evm_native import Store, keccak256, oasis_address, sha512_256

from shared.crypto.hashes import EMPTY_HASH
from shared.encoding import cbor

SECRET = b"\x5e" * 32
SPY_CODE = bytes.fromhex("60005460005260206000f3")
"""Returns slot 0."""
KEEPER_INIT = b"\x7f" + SECRET + bytes.fromhex("600055600060005360016000f3")
"""Init code: keeps `SECRET` in slot 0 under code that does nothing."""


def entries_after(*diffs: bytes) -> dict[bytes, bytes]:
    """All entries of the state after diffs from the first round on."""
    entries: dict[bytes, bytes] = {}
    for diff in diffs:
        for key, value in cbor.decode_loosely(diff):
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
    return entries


def encode_diff(changes: Mapping[bytes, bytes | None]) -> bytes:
    return cbor.encode_loosely([[key, changes[key]] for key in sorted(changes)])


def root_of(entries: Mapping[bytes, bytes]) -> bytes:
    """Root of the tree with these entries."""
    return _root(sorted(entries.items()), 0) if entries else EMPTY_HASH


def _root(items, depth: int) -> bytes:
    if len(items) == 1:
        key, value = items[0]
        return sha512_256(b"\x00" + _length(key) + key + _length(value) + value)
    first, last = _bits(items[0][0]), _bits(items[-1][0])
    end = depth
    while end < min(len(first), len(last)) and first[end] == last[end]:
        end += 1
    label = first[depth:end]
    leaf = [item for item in items if len(item[0]) * 8 == end]
    left = [item for item in items if len(item[0]) * 8 > end and _bits(item[0])[end] == "0"]
    right = [item for item in items if len(item[0]) * 8 > end and _bits(item[0])[end] == "1"]
    packed = int(label.ljust(-(-len(label) // 8) * 8, "0") or "0", 2)
    packed_bytes = packed.to_bytes(-(-len(label) // 8), "big")
    children = [_root(part, end) if part else EMPTY_HASH for part in (leaf, left, right)]
    return sha512_256(
        b"\x01" + len(label).to_bytes(2, "little") + packed_bytes + b"".join(children)
    )


def _bits(key: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in key)


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little")


def spy_at(victim: bytes, entries: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Changes that put `SPY_CODE` where a contract is, and leave its storage."""
    account_key = b"\x01" + oasis_address(victim)
    record = entries[account_key]
    assert record[0] == 1, "the victim is a contract"
    code_hash = keccak256(SPY_CODE)
    return {
        account_key: record[:9] + code_hash + record[41:],
        b"\x02" + code_hash: SPY_CODE,
    }


def assert_root_is_the_cores(*diffs: bytes) -> None:
    """The independent root is that of the native core."""
    store = Store.memory()
    for round_, diff in enumerate(diffs, start=1):
        entries = entries_after(*diffs[:round_])
        store.apply(round_, diff, expect_root=root_of(entries))


def created_by(creator: bytes, nonce: int) -> bytes:
    """Address of a contract that an account creates under a nonce below 128."""
    # RLP of [address, nonce].
    encoded = bytes([0xD6, 0x94]) + creator + (bytes([nonce]) if nonce else b"\x80")
    return keccak256(encoded)[12:]
