"""Accounts of another chain, or of one's own, for the genesis state of an EVM, from a file."""

from dataclasses import replace
from pathlib import Path

from shared.errors import Rejected
from shared.gateways.account_dump import BadAccountDump, read_accounts, unpack
from shared.types.evm import EvmGenesisAccount

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Of a file, unpacked; its accounts become part of the genesis document, which every node reads."""


class BadGenesisFile(Rejected, module="network", code=4):
    """The file does not describe accounts."""


def load_genesis_accounts(path: Path) -> tuple[EvmGenesisAccount, ...]:
    """Read the accounts of a file, sorted by address, or raise `BadGenesisFile`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadGenesisFile(f"{path}: more than {MAX_FILE_BYTES} bytes")
        accounts = read_accounts(unpack(path.read_bytes(), MAX_FILE_BYTES))
    except OSError as error:
        raise BadGenesisFile(f"{path}: {error.strerror}") from None
    except BadAccountDump as error:
        raise BadGenesisFile(f"{path}: {error.message}") from error
    # A contract's nonce begins with 1 (EIP-161), which files by hand leave out.
    return tuple(replace(one, nonce=max(one.nonce, 1)) if one.code else one for one in accounts)
