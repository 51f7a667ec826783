"""
Accounts of an EVM in JSON, as other chains write them.

They stand by address under `alloc`, as in geth's genesis file, or under `accounts`, as in the dumps
of `geth dump` and Anvil. Pure; what is read is untrusted.
"""

import gzip
import zlib
from collections.abc import Iterable
from typing import Any

import orjson

from shared.errors import Rejected
from shared.types.evm import EvmGenesisAccount

GROUPS = ("alloc", "accounts")
GZIP = b"\x1f\x8b"
GZIP_WINDOW = 31
"""Window size of zlib, plus 16 for gzip's header."""


class BadAccountDump(Rejected, module="dump", code=1):
    """The text does not describe accounts."""


def unpack(untrusted: bytes, max_bytes: int) -> bytes:
    """Give JSON that may be compressed by gzip, or raise `BadAccountDump` where it is longer."""
    if not untrusted.startswith(GZIP):
        return untrusted
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        text = inflater.decompress(untrusted, max_bytes)
    except zlib.error as error:
        raise BadAccountDump(f"it is no gzip: {error}") from None
    if not inflater.eof:
        raise BadAccountDump(f"it is cut off, or unpacked it has more than {max_bytes} bytes")
    return text


def read_accounts(untrusted: bytes) -> tuple[EvmGenesisAccount, ...]:
    """Read the accounts of a JSON text, sorted by address, or raise `BadAccountDump`."""
    try:
        read = orjson.loads(untrusted)
        listed = next(read[group] for group in GROUPS if group in read)
        accounts = [_account(address, fields) for address, fields in listed.items()]
    except StopIteration:
        raise BadAccountDump(f"there is neither {' nor '.join(GROUPS)}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadAccountDump(str(error)) from error
    if len({one.address for one in accounts}) != len(accounts):
        raise BadAccountDump("an address stands there twice")
    return tuple(sorted(accounts, key=lambda one: one.address))


def write_anvil_dump(accounts: Iterable[EvmGenesisAccount]) -> bytes:
    """
    Write accounts as Anvil dumps them, without blocks: JSON, compressed by gzip.

    Source: foundry anvil, `SerializableState`.
    """
    dump: dict[str, Any] = {
        "block": None,
        "accounts": {
            f"0x{one.address.hex()}": {
                "nonce": one.nonce,
                "balance": hex(one.balance),
                "code": f"0x{one.code.hex()}",
                "storage": {f"0x{at:064x}": f"0x{value:064x}" for at, value in one.storage},
            }
            for one in accounts
        },
        "best_block_number": None,
        "blocks": [],
        "transactions": [],
        "historical_states": None,
    }
    return gzip.compress(orjson.dumps(dump), mtime=0)


def _account(address: str, fields: dict[str, Any]) -> EvmGenesisAccount:
    code = bytes.fromhex(_digits(fields.get("code") or ""))
    storage = {_word(slot): _word(value) for slot, value in (fields.get("storage") or {}).items()}
    raw = bytes.fromhex(_digits(address))
    if len(raw) != 20:
        raise ValueError(f"{address} is no address")
    return EvmGenesisAccount(
        address=raw,
        balance=_number(fields.get("balance", 0), bits=256),
        nonce=_number(fields.get("nonce", 0), bits=64),
        code=code,
        storage=tuple(sorted(item for item in storage.items() if item[1])),
    )


def _digits(text: str) -> str:
    return text.removeprefix("0x")


def _word(text: str) -> int:
    """Read a slot or its value: hexadecimal, with 0x or, as geth dumps it, without."""
    digits = _digits(text)
    if len(digits) > 64:
        raise ValueError(f"{text} has more than 32 bytes")
    return int(digits or "0", 16)


def _number(value: int | str, *, bits: int) -> int:
    """Read an amount: a number, or text in decimal or, with 0x, in hexadecimal."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{value!r} is no number")
    number = value if isinstance(value, int) else int(value or "0", 16 if value[:2] == "0x" else 10)
    if not 0 <= number < 2**bits:
        raise ValueError(f"{value} is negative, or has more than {bits} bits")
    return number
