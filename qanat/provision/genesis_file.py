"""
Accounts of another chain, or of one's own, for the genesis state of an EVM.

A file is JSON with the accounts by address under `alloc`, as geth's genesis file, or under
`accounts`, as the dumps of `geth dump` and `anvil_dumpState`.
"""

import json
from pathlib import Path
from typing import Any

from shared.errors import Rejected
from shared.types.evm import EvmGenesisAccount

GROUPS = ("alloc", "accounts")
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Of a file; its accounts become part of the genesis document, which every node reads."""


class BadGenesisFile(Rejected, module="network", code=4):
    """The file does not describe accounts."""


def load_genesis_accounts(path: Path) -> tuple[EvmGenesisAccount, ...]:
    """Read the accounts of a file, sorted by address, or raise `BadGenesisFile`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadGenesisFile(f"{path}: more than {MAX_FILE_BYTES} bytes")
        untrusted = json.loads(path.read_bytes())
        listed = next(untrusted[group] for group in GROUPS if group in untrusted)
        accounts = [_account(address, fields) for address, fields in listed.items()]
    except OSError as error:
        raise BadGenesisFile(f"{path}: {error.strerror}") from None
    except StopIteration:
        raise BadGenesisFile(f"{path}: there is neither {' nor '.join(GROUPS)}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadGenesisFile(f"{path}: {error}") from error
    if len({one.address for one in accounts}) != len(accounts):
        raise BadGenesisFile(f"{path}: an address stands there twice")
    return tuple(sorted(accounts, key=lambda one: one.address))


def _account(address: str, fields: dict[str, Any]) -> EvmGenesisAccount:
    code = bytes.fromhex(_digits(fields.get("code", "")))
    nonce = _number(fields.get("nonce", 0), bits=64)
    storage = {_word(slot): _word(value) for slot, value in (fields.get("storage") or {}).items()}
    raw = bytes.fromhex(_digits(address))
    if len(raw) != 20:
        raise ValueError(f"{address} is no address")
    return EvmGenesisAccount(
        address=raw,
        balance=_number(fields.get("balance", 0), bits=256),
        nonce=max(nonce, 1) if code else nonce,
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
