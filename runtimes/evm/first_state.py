"""
What a ParaTime begins with: parameters, and accounts, of which there may be a million.

The parameters are asked all the time and stay in memory. The accounts are put in place once, and
asked for again only by who looks into the first round; so they lie on the disk, which is believed
as far as the hash goes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import evm_native

from shared.crypto.hashes import sha512_256
from shared.enclave.errors import StateRejected
from shared.encoding.record import decode_record
from shared.types.evm import EvmGenesis

GENESIS_FILE = "genesis.cbor"
KEPT_IN_MEMORY_BYTES = 64 * 1024
"""A genesis that is no larger stays in memory; the default network's has 1 KiB [bytes]."""


class FirstState:
    """The genesis of one EVM ParaTime."""

    def __init__(self, genesis: bytes, directory: Path | None) -> None:
        """
        Read the genesis, which is proven, and put it down where it is large.

        Parameters
        ----------
        genesis : `bytes`
            `EvmGenesis`, as the ParaTime's registered descriptor carries it.
        directory : `Path` or None
            The enclave's own; None keeps everything in memory.

        Raises
        ------
        MalformedRecord
            It is no such record.
        StateRejected
            The file cannot be written.
        """
        document = decode_record(EvmGenesis, genesis)
        self.parameters = replace(document, balances=(), accounts=())
        """All but the accounts."""
        self._hash = sha512_256(genesis)
        self._raw = genesis
        self._path: Path | None = None
        if directory is not None and len(genesis) > KEPT_IN_MEMORY_BYTES:
            self._raw, self._path = b"", directory / GENESIS_FILE
            try:
                self._path.write_bytes(genesis)
            except OSError as error:
                raise StateRejected(f"the genesis cannot be written: {error}") from error

    def accounts(self) -> list[Any]:
        """
        Read the accounts, those that every chain has included, as `evm_native` takes them.

        Raises
        ------
        StateRejected
            The file is gone, or holds something else. The next start writes it anew.
        """
        genesis = decode_record(EvmGenesis, self._read())
        funded = [(address, int.from_bytes(value, "big")) for address, value in genesis.balances]
        predeployed = evm_native.predeployed() if genesis.predeployed else ()
        whole = ((a.address, a.balance, a.nonce, a.code, a.storage) for a in genesis.accounts)
        return [*funded, *predeployed, *whole]

    def _read(self) -> bytes:
        if self._path is None:
            return self._raw
        try:
            raw = self._path.read_bytes()
        except OSError as error:
            raise StateRejected(f"the genesis cannot be read: {error}") from error
        if sha512_256(raw) != self._hash:
            raise StateRejected(f"{self._path.name} is not the genesis that consensus has")
        return raw
