"""
A chain in one process, for the tests of a ParaTime: the real runtime, without a network.

    chain = LocalChain("examples.sealed_notes")
    alice = Account()
    number = chain.send(alice, "notes.Write", "a secret")
    assert chain.read(alice, "notes.Read", number)["text"] == "a secret"

Everything that nodes check is checked; keys are made up, rounds are final at once.
"""

from pathlib import Path
from typing import Any

import evm_native

from qanat.paratime.signing import Account, EpochKey, open_result, seal_call, sign_call
from runtimes.python import PythonRuntime
from runtimes.python.loading import load_paratime
from shared.crypto.hashes import EMPTY_HASH, sha512_256
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import RoundContext
from shared.encoding import cbor
from shared.encoding.record import decode_record
from shared.errors import RuntimeRejected
from shared.types.block import BlockHeader, HeaderType
from shared.types.identity import Epoch, Round, RuntimeId
from shared.types.sdk_transaction import Call, SdkGenesis, TransactionRecord

CHAIN_CONTEXT = sha512_256(b"qanat local chain").hex()
RUNTIME_ID = RuntimeId(bytes(31) + b"\x01")
FIRST_TIME_S = 1_700_000_000


class LocalChain:
    """One ParaTime whose rounds are final as soon as they are executed."""

    def __init__(
        self,
        module: str,
        *,
        balances: dict[bytes, int] | None = None,
        directory: Path | None = None,
        root: Path | None = None,
        min_gas_price: int = 0,
    ) -> None:
        """Load a program and begin at round 0; `root` is where its files lie."""
        program = load_paratime(module, root)
        genesis = SdkGenesis(
            confidential=program.confidential,
            balances=tuple((balances or {}).items()),
            min_gas_price=min_gas_price,
        )
        self.runtime = PythonRuntime(
            program, genesis, directory, lambda name: sha512_256(b"key" + name)
        )
        self.epoch = 9
        self.header = BlockHeader(
            version=1,
            namespace=RUNTIME_ID,
            round=Round(0),
            timestamp=FIRST_TIME_S,
            header_type=HeaderType.NORMAL,
            previous_hash=bytes(32),
            io_root=EMPTY_HASH,
            state_root=EMPTY_HASH,
        )
        self.records: list[TransactionRecord] = []
        """Of all transactions, oldest first."""

    # -- rounds --------------------------------------------------------------------------------

    def context(self) -> RoundContext:
        """Surroundings of the next round."""
        parent_hash = self.header.hash()
        return RoundContext(
            self.header,
            Epoch(self.epoch),
            (parent_hash, self.epoch, 0),
            lambda: self._keys(parent_hash),
            RUNTIME_ID,
            CHAIN_CONTEXT,
        )

    def run(self, *batch: bytes) -> list[TransactionRecord]:
        """Make a round of raw transactions, all of which must be valid; gives their records."""
        pending = self.runtime.execute(self.context(), batch)
        if pending.refused or len(pending.included) != len(batch):
            checked = self.runtime.check(batch, self.context())
            reasons = [f"{c.module} {c.code}: {c.message}" for c in checked if c.module]
            raise RuntimeRejected("core", 1, f"not all are valid: {reasons}")
        pending.persist()
        self.header = BlockHeader(
            version=1,
            namespace=RUNTIME_ID,
            round=Round(self.header.round + 1),
            timestamp=self.header.timestamp + 1,
            header_type=HeaderType.NORMAL,
            previous_hash=self.header.hash(),
            io_root=pending.io_root,
            state_root=pending.state_root,
        )
        records = [decode_record(TransactionRecord, result) for result in pending.results]
        self.records += records
        return records

    def _keys(self, parent_hash: bytes) -> RoundKeys:
        epochs = range(self.epoch - 5, self.epoch + 1)
        return RoundKeys(
            {epoch: _call_secret(epoch) for epoch in epochs},
            sha512_256(b"random" + parent_hash),
            cbor.encode({"epoch": self.epoch}),
        )

    # -- as a client ---------------------------------------------------------------------------

    def nonce(self, account: Account) -> int:
        """Nonce of an account's next transaction."""
        return int(self.query("accounts.Nonce", {"address": account.address}))

    def sign(
        self, account: Account, method: str, body: Any = None, **changes: Any
    ) -> tuple[bytes, bytes | None]:
        """Make a transaction, encrypted where there are secrets, and the key of its result."""
        call, key = Call(body, method, ro=changes.pop("ro", False)), None
        if changes.pop("encrypted", self.runtime.is_confidential):
            public = evm_native.x25519_public(_call_secret(self.epoch))
            sealed = seal_call(call, EpochKey(self.epoch, public))
            call, key = sealed.call, sealed.key
        nonce = changes.pop("nonce", None)
        raw = sign_call(
            account,
            call,
            nonce=self.nonce(account) if nonce is None else nonce,
            runtime_id=RUNTIME_ID,
            chain_context=CHAIN_CONTEXT,
            **changes,
        )
        return raw, key

    def send(self, account: Account, method: str, body: Any = None, **changes: Any) -> Any:
        """Run one transaction in a round of its own; gives its result, or raises."""
        raw, key = self.sign(account, method, body, **changes)
        (record,) = self.run(raw)
        return open_result(record.result, key)

    def read(self, account: Account, method: str, body: Any = None) -> Any:
        """Ask with a signature, without a transaction."""
        raw, key = self.sign(account, method, body, ro=True)
        answer = self.runtime.query(
            "core.ExecuteReadOnlyTx", cbor.encode({"tx": raw}), self.context()
        )
        return open_result(answer, key)

    def query(self, method: str, args: Any = None) -> Any:
        """Ask without a signature."""
        encoded = args if isinstance(args, bytes) else cbor.encode(args)
        return cbor.decode(self.runtime.query(method, encoded, self.context()))


def _call_secret(epoch: int) -> bytes:
    return sha512_256(b"call" + epoch.to_bytes(8, "big"))
