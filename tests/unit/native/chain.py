"""A small confidential chain in one process, for the tests of the native core."""

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import evm_native as native
from eth_account import Account
from eth_account.signers.local import LocalAccount

CHAIN_ID = 0x5AFD
GWEI = 10**9
ETHER = 10**18
EPOCH = 9
CALL_SECRET = b"\x77" * 32
CLIENT_SECRET = b"\x31" * 32
ACCOUNTS: list[LocalAccount] = [Account.from_key(bytes([number]) * 32) for number in range(1, 6)]


def address(account: LocalAccount) -> bytes:
    """The 20 bytes of an account."""
    return bytes.fromhex(account.address[2:])


def state_key(contract: bytes) -> bytes:
    """A storage key that depends on the contract."""
    return hashlib.sha256(b"state key" + contract).digest()


def block_hash(number: int) -> bytes:
    """The hash of a round of this chain."""
    return hashlib.sha256(b"round" + number.to_bytes(8, "big")).digest()


def environment(round_: int, **changes: Any) -> native.BlockEnv:
    """The surroundings of a round."""
    fields: dict[str, Any] = {
        "round": round_,
        "parent_round": round_ - 1,
        "parent_timestamp": 1_700_000_000 + round_,
        "grandparent_hash": block_hash(max(round_ - 2, 0)),
        "epoch": EPOCH,
        "call_keys": {EPOCH: CALL_SECRET, EPOCH - 1: b"\x78" * 32},
        "rng_key": hashlib.sha256(b"rng" + bytes([round_ % 256])).digest(),
        "call_data_public_key": cbor2.dumps({"epoch": EPOCH}),
    }
    return native.BlockEnv(**(fields | changes))


class Chain:
    """Engine, store and the round they have reached."""

    def __init__(
        self,
        store: native.Store | None = None,
        *,
        key: Callable[[bytes], bytes] | None = state_key,
        subcall: Callable[..., Any] | None = None,
        **config: Any,
    ) -> None:
        self.store = store or native.Store.memory()
        self.config = native.ChainConfig(chain_id=CHAIN_ID, **config)
        self.engine = native.Engine(self.config, self.store, state_key=key, subcall=subcall)
        if self.store.version == 0:
            genesis = [(address(account), 1_000_000 * ETHER) for account in ACCOUNTS]
            self.engine.execute(environment(1), [], genesis=genesis, strict=True).persist()

    @property
    def round(self) -> int:
        """The latest round."""
        return self.store.version

    def environment(self, **changes: Any) -> native.BlockEnv:
        """The surroundings of the next round."""
        return environment(self.round + 1, **changes)

    def sign(self, account: LocalAccount = ACCOUNTS[0], **fields: Any) -> bytes:
        """A signed transaction; the nonce is the account's unless given."""
        nonce, _ = self.engine.account(address(account))
        transaction = {
            "nonce": nonce,
            "gas": 1_000_000,
            "gasPrice": 100 * GWEI,
            "value": 0,
            "data": b"",
            "chainId": CHAIN_ID,
        }
        return bytes(account.sign_transaction(transaction | fields).raw_transaction)

    def run(self, *transactions: bytes) -> list[dict[str, Any]]:
        """Execute and persist a batch that must be valid; gives the records."""
        block = self.engine.execute(self.environment(), transactions, strict=True)
        block.persist()
        return [cbor2.loads(record) for record in block.results]

    def deploy(self, code: bytes, account: LocalAccount = ACCOUNTS[0]) -> bytes:
        """Deploy by init code; gives the address."""
        (record,) = self.run(self.sign(account, data=code, gas=5_000_000))
        assert record["error"] is None, record["error"]
        contract: bytes = record["contract_address"]
        return contract

    def query(self, to: bytes | None, data: bytes = b"", **changes: Any) -> bytes:
        """`eth_call` at the latest round."""
        return self.engine.call(self.environment(), **self.call_fields(to, data) | changes)

    def estimate(self, to: bytes | None, data: bytes = b"", **changes: Any) -> int:
        """`eth_estimateGas` at the latest round."""
        return self.engine.estimate_gas(self.environment(), **self.call_fields(to, data) | changes)

    def call_fields(self, to: bytes | None, data: bytes) -> dict[str, Any]:
        """The arguments of a query as the gateway resolves them."""
        return {
            "version": self.round,
            "caller": address(ACCOUNTS[0]),
            "to": to,
            "gas": 30_000_000,
            "gas_price": 1,
            "value": 0,
            "data": data,
        }


def encrypt(calldata: bytes, *, epoch: int = EPOCH) -> tuple[bytes, bytes]:
    """Calldata in an envelope for the chain, and the key that opens the answer."""
    key = native.mrae_key(CLIENT_SECRET, native.x25519_public(CALL_SECRET))
    nonce = b"\x05" * 15
    inner = cbor2.dumps({"body": calldata}, canonical=True)
    body = {
        "pk": native.x25519_public(CLIENT_SECRET),
        "data": native.deoxysii_seal(key, nonce, inner),
        "epoch": epoch,
        "nonce": nonce,
    }
    return cbor2.dumps({"body": body, "format": 1}, canonical=True), key


def deployer(code: bytes) -> bytes:
    """Init code that deploys `code`."""
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600b5f395ff300") + code


CELL = bytes.fromhex("36600c575f545f5260205ff35b5f355f5500")
"""Returns slot 0 on empty calldata, else stores the first word of calldata there."""
ECHO = bytes.fromhex("365f5f37365ff3")
"""Returns its calldata."""
