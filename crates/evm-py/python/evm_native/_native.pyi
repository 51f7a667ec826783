"""Types of the native half. Checked against the extension by stubtest."""

# ruff: noqa: PYI021, PYI054, A002 -- docstrings and defaults of the extension stand here; `round` is its word

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, Self, TypeAlias, final

__all__ = [
    "BlockEnv",
    "ChainConfig",
    "CheckError",
    "Ed25519Key",
    "Engine",
    "EthereumChain",
    "FrameBuffer",
    "FrameCodec",
    "LightClient",
    "PendingBlock",
    "RecordCodec",
    "Staged",
    "StateTree",
    "Store",
    "TxInfo",
    "block_parts",
    "commit_hash",
    "cshake256",
    "deoxysii_open",
    "deoxysii_seal",
    "header_hash",
    "io_root",
    "keccak256",
    "keypair",
    "merkle_root",
    "mrae_key",
    "oasis_address",
    "open_result",
    "precommit_sign_bytes",
    "predeployed",
    "read_spent",
    "recover_signer",
    "sha512_256",
    "sign",
    "sign_digest",
    "sign_separated",
    "validators_hash",
    "verify",
    "verify_ed25519",
    "verify_proof",
    "verify_separated",
    "verify_state_proof",
    "x25519_public",
]

_GenesisAccount: TypeAlias = tuple[bytes, int, int, bytes, Sequence[tuple[int, int]]]
"""Address, balance, nonce, code, and slots with their values."""

@final
class ChainConfig:
    """Parameters of the chain. Frozen."""

    def __new__(
        cls,
        *,
        chain_id: int,
        batch_gas_limit: int = 15_000_000,
        initial_min_gas_price: int = 100_000_000_000,
        confidential: bool = True,
        estimate_extra_fail_gas: int = 2_000_000,
        max_tx_bytes: int = 131_072,
        profile: Literal["strict", "dev"] = "strict",
        charges_for_size: bool = True,
        dev_control_key: bytes | None = None,
        sdk_context: bytes | None = None,
    ) -> ChainConfig: ...
    @property
    def chain_id(self) -> int: ...
    @property
    def batch_gas_limit(self) -> int: ...
    @property
    def initial_min_gas_price(self) -> int: ...
    @property
    def confidential(self) -> bool: ...
    @property
    def profile(self) -> Literal["strict", "dev"]: ...

@final
class BlockEnv:
    """
    Surroundings of a round, made once a round and reused by its queries. Frozen; shows no secret.

    Parameters
    ----------
    round : int
        Round being executed, parent + 1; for queries the latest + 1.
    parent_round, parent_timestamp : int
        Block number and time [s] that contracts see.
    grandparent_hash : bytes
        Hash of round `parent_round - 1` (the parent header's previous hash), 32 bytes.
    epoch : int
        Consensus epoch of the round.
    call_keys : mapping
        X25519 secrets by epoch, 32 bytes each: the current one and up to five older.
    rng_key : bytes
        Root of the round's randomness, 32 bytes.
    call_data_public_key : bytes
        CBOR answer to the sub-call `core.CallDataPublicKey`.
    state_root : bytes, optional
        Root of the state that the round builds on, 32 bytes. With it `execute`, `call` and
        `estimate_gas` read that state or raise `StateError`; without it they believe the disk.
    """

    def __new__(
        cls,
        *,
        round: int,
        parent_round: int,
        parent_timestamp: int,
        grandparent_hash: bytes,
        epoch: int,
        call_keys: Mapping[int, bytes],
        rng_key: bytes,
        call_data_public_key: bytes,
        state_root: bytes | None = None,
    ) -> BlockEnv: ...
    @property
    def round(self) -> int: ...
    @property
    def parent_round(self) -> int: ...
    @property
    def parent_timestamp(self) -> int: ...
    @property
    def epoch(self) -> int: ...

@final
class Store:
    """
    Versioned authenticated key-value state; a version is a round. Holds ciphertext only.

    Every method raises `StateError` when the version is not kept, when its root is not the one
    given as `root`, or when the disk fails. The disk is not trusted: whoever gives no `root`
    believes it.
    """

    @staticmethod
    def memory() -> Store:
        """A store that lives as long as the object."""

    @staticmethod
    def open(
        path: str | PathLike[str],
        *,
        fsync: bool = False,
        cache_mb: int = 32,
    ) -> Store:
        """
        A store in a file, made if absent.

        Without `fsync` a version survives `kill -9` at any moment, but not the loss of power.
        """

    @property
    def version(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    def root_at(self, version: int) -> bytes: ...
    def get(
        self, key: bytes, *, version: int | None = None, root: bytes | None = None
    ) -> bytes | None: ...
    def scan(
        self,
        prefix: bytes = b"",
        *,
        start: bytes | None = None,
        limit: int = 1000,
        version: int | None = None,
        root: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]: ...
    def prove(self, keys: Sequence[bytes], *, version: int | None = None) -> bytes:
        """One proof for all keys, present or absent. See `verify_proof`."""

    def stage(
        self, changes: Mapping[bytes, bytes | None], *, version: int, root: bytes | None = None
    ) -> Staged:
        """Compute what changes (None deletes) make of a version, without making it visible."""

    def skip(self, version: int) -> None:
        """Make a version equal to the one before: a failed round, an epoch transition."""

    def apply(self, version: int, diff: bytes, *, expect_root: bytes) -> None:
        """Make a version from its diff, without any key; a wrong root changes nothing."""

    def diff_at(self, version: int) -> bytes:
        """Canonical diff of a version, also of one that was pruned."""

    def prune(self, keep_from: int, most: int) -> tuple[int, bool]:
        """
        Forget versions below one, in steps of `most` nodes and versions together.

        The latest version stays, and so do the diffs of all. Gives the oldest version that is kept
        from then on, and whether nothing is left to do.
        """

    def rollback(self, version: int) -> None:
        """
        Make an older version the latest; what came after is gone.

        Version 0 can be gone back to when it was pruned, too: then nothing is kept at all.
        """

    def close(self) -> None:
        """Close the store. Its file is free once no engine uses it any more."""

@final
class Staged:
    """Changes computed on a version, not visible yet. Dropping it discards them."""

    @property
    def version(self) -> int:
        """Version that it becomes."""

    @property
    def root(self) -> bytes: ...
    @property
    def diff(self) -> bytes:
        """Canonical changes, for `Store.apply`."""

    def persist(self) -> None:
        """Make it the latest version, durably."""

@final
class TxInfo:
    """A transaction that may enter the pool. Frozen."""

    @property
    def hash(self) -> bytes: ...
    @property
    def sender(self) -> bytes: ...
    @property
    def nonce(self) -> int: ...
    @property
    def gas(self) -> int: ...
    @property
    def gas_price(self) -> int:
        """Most it pays for a unit of gas [wei]."""

    @property
    def account_nonce(self) -> int:
        """Nonce of the sender at the checked version; a larger `nonce` has to wait."""

    @property
    def size(self) -> int: ...

@final
class CheckError:
    """Why a transaction was refused. Frozen; a value, not an exception."""

    @property
    def hash(self) -> bytes | None: ...
    @property
    def module(self) -> str: ...
    @property
    def code(self) -> int: ...
    @property
    def message(self) -> str: ...

@final
class PendingBlock:
    """The next version, computed and not visible. Dropping it discards it."""

    @property
    def round(self) -> int: ...
    @property
    def included(self) -> tuple[int, ...]:
        """Positions in the batch of what was executed."""

    @property
    def rejected(self) -> tuple[tuple[int, CheckError], ...]:
        """What may not be in this round. A transaction in neither list did not fit."""

    @property
    def results(self) -> tuple[bytes, ...]:
        """
        A canonical CBOR record for each included transaction, and behind them one of the round
        where a public chain's Ethereum state root changes in it.
        """

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Messages to consensus, CBOR, in order."""

    @property
    def gas_used(self) -> int: ...
    @property
    def state_root(self) -> bytes: ...
    @property
    def io_root(self) -> bytes: ...
    @property
    def diff(self) -> bytes:
        """Canonical changes, ciphertext only: `Store.apply` makes the version from them."""

    def persist(self) -> None:
        """Make it the latest version, durably."""

class _Attested(Protocol):
    @property
    def key_pair(self) -> Callable[[tuple[bytes, ...]], tuple[bytes, bytes]]: ...
    @property
    def judge(self) -> Callable[[bytes], bytes]: ...

@final
class Engine:
    """
    Executes transactions and answers queries over a store. Safe to use from several threads.

    Parameters
    ----------
    state_key : callable, optional
        Gives the 32-byte storage key of a contract (20 bytes). Asked on a miss, then cached.
        None leaves storage in the clear.
    subcall : callable, optional
        Modules for sub-calls: (method, CBOR body, 21-byte caller, read_only, gas) to
        (status, data, gas used), or None for a method no module has.
    attested : object, optional
        What the module of attested apps needs: `key_pair(names)` gives state key and X25519 secret,
        `judge(question)` an answer, CBOR to CBOR. Not used on a chain that is not confidential.
    """

    def __new__(
        cls,
        config: ChainConfig,
        store: Store,
        *,
        state_key: Callable[[bytes], bytes] | None = None,
        subcall: Callable[[str, bytes, bytes, bool, int], tuple[int, bytes, int] | None]
        | None = None,
        attested: _Attested | None = None,
    ) -> Engine: ...
    def check(
        self, txs: Sequence[bytes], *, version: int | None = None, root: bytes | None = None
    ) -> list[TxInfo | CheckError]:
        """Decode, recover senders on all cores, and check what needs no execution."""

    def execute(
        self,
        env: BlockEnv,
        txs: Sequence[bytes],
        *,
        genesis: Sequence[tuple[bytes, int] | _GenesisAccount] | None = None,
        inbox: bytes = b"",
        strict: bool,
    ) -> PendingBlock:
        """
        Execute a batch on version `env.round - 1`.

        Not strict (a scheduler): leaves out what is invalid or does not fit. Strict (a worker):
        raises `InvalidBatch` for it. `genesis` is what accounts have before the first round:
        balances, or whole accounts.
        """

    def call(
        self,
        env: BlockEnv,
        *,
        version: int,
        caller: bytes,
        to: bytes | None,
        gas: int,
        gas_price: int,
        value: int,
        data: bytes,
        pretence: bytes | None = None,
    ) -> bytes:
        """
        Answer a signed, encrypted or plain query; raises `CallFailed`.

        `pretence` is JSON of what the call pretends: `{state, block, authorizationList}`. Whoever
        pretends code reads storage with it, so the caller decides who may.
        """

    def estimate_gas(
        self,
        env: BlockEnv,
        *,
        version: int,
        caller: bytes,
        to: bytes | None,
        gas: int,
        gas_price: int,
        value: int,
        data: bytes,
        pretence: bytes | None = None,
    ) -> int:
        """Gas the call should need as a transaction; a call that fails gets 2,000,000 more."""

    def estimate_sdk_gas(self, env: BlockEnv, args: bytes, *, version: int) -> int:
        """Gas of a transaction that nobody has signed, CBOR `{tx, caller, propagate_failures}`."""

    def replay(
        self,
        env: BlockEnv,
        txs: Sequence[bytes],
        *,
        block_hash: bytes,
        genesis: Sequence[tuple[bytes, int] | _GenesisAccount] | None = None,
        wanted: int | None = None,
        style: bytes,
    ) -> tuple[tuple[bytes, bytes], ...]:
        """
        Run the transactions of a round again and trace one of them, or all.

        `style` is JSON of `evm_core::tracing::Style`. Gives result record and JSON trace of each;
        raises `CallFailed` of module `trace`.
        """

    def simulate(self, env: BlockEnv, request: bytes, *, version: int) -> bytes:
        """
        Run calls in blocks that never were, and drop their changes.

        `request` is JSON of `evm_core::engine::Simulation`; the answer has a list for each block.
        Raises `CallFailed` of module `trace`.
        """

    def account(
        self, account: bytes, version: int | None = None, *, root: bytes | None = None
    ) -> tuple[int, int]:
        """Nonce and balance [wei]."""

    def code(
        self, account: bytes, version: int | None = None, *, root: bytes | None = None
    ) -> bytes: ...
    def storage(
        self, account: bytes, slot: bytes, version: int | None = None, *, root: bytes | None = None
    ) -> bytes:
        """What may be known of a slot: zero on a confidential chain, but for EIP-1967's."""

    def prove(
        self,
        account: bytes,
        slots: Sequence[bytes],
        version: int | None = None,
        *,
        root: bytes | None = None,
    ) -> (
        tuple[int, int, bytes, bytes, tuple[bytes, ...], list[tuple[int, tuple[bytes, ...]]]] | None
    ):
        """
        Nonce, balance [wei], code hash and storage root of an account as its trie has them, the
        nodes from the root of accounts, and of each slot its value and nodes from the storage root.

        None where an account or the chain is in no trie; a confidential chain never is.
        """

    def min_gas_price(self, version: int | None = None, *, root: bytes | None = None) -> int:
        """Least price for the round after a version [wei]."""

    def ask(
        self, method: str, args: bytes, version: int | None = None, *, root: bytes | None = None
    ) -> bytes:
        """Answer of a module of the SDK to a question, CBOR to CBOR."""

    def fees(self, version: int | None = None, *, root: bytes | None = None) -> int:
        """Fees collected up to a version [wei]."""

def io_root(txs: Sequence[bytes], results: Sequence[bytes]) -> bytes:
    """Root over transactions and their records, as `PendingBlock.io_root`."""

def read_spent(results: Iterable[bytes]) -> tuple[tuple[bytes, int], ...]:
    """Sender and nonce of each transaction, by its record; `ValueError` where one does not say."""

def predeployed() -> tuple[_GenesisAccount, ...]:
    """The contracts that every chain has, at their canonical addresses."""

def verify_proof(root: bytes, proof: bytes, key: bytes) -> bytes | None:
    """Value of a key under a root, None when it is proven absent; raises `StateError`."""

def cshake256(message: bytes, name: bytes, custom: bytes, length: int) -> bytes:
    """Give `length` bytes for a message. Source: NIST SP 800-185, cSHAKE256."""

def keccak256(data: bytes) -> bytes: ...
def sha512_256(data: bytes) -> bytes: ...
def merkle_root(items: Iterable[bytes]) -> bytes: ...
def header_hash(header: Any) -> bytes: ...
def precommit_sign_bytes(chain_id: str, commit: Any, time_ns: int) -> bytes: ...
def commit_hash(signatures: Iterable[Any]) -> bytes: ...
def validators_hash(validators: Iterable[Any]) -> bytes: ...
def block_parts(
    header: Any, transactions: Iterable[bytes], evidence: Iterable[bytes], last_commit: Any
) -> tuple[int, bytes]: ...
def verify_ed25519(
    public: bytes, message: bytes, signature: bytes, context: bytes | None = None
) -> bool:
    """Say whether a key signed a message, or SHA-512/256 of a context and a message."""

def verify_state_proof(
    root: bytes, untrusted: bytes, items: Iterable[tuple[bytes, bytes | None]]
) -> None: ...
def deoxysii_seal(key: bytes, nonce: bytes, message: bytes, ad: bytes = b"") -> bytes: ...
def deoxysii_open(key: bytes, nonce: bytes, sealed: bytes, ad: bytes = b"") -> bytes:
    """Raise `InvalidTag` if it does not open."""

def x25519_public(secret: bytes) -> bytes: ...
def mrae_key(secret: bytes, public: bytes) -> bytes:
    """Key of the calldata envelope between two X25519 keys."""

def recover_signer(digest: bytes, signature: bytes) -> bytes:
    """Address of the account that signed a digest: r ‖ s ‖ v, 65 bytes. Raises `ConfigError`."""

def sign_digest(secret: bytes, digest: bytes) -> bytes:
    """Signature of an Ethereum account, r ‖ s ‖ v with v 0 or 1; `ConfigError` for no key."""

def keypair(method: int, seed: bytes) -> tuple[bytes, bytes]:
    """Public and private key; `method` is the algorithm's number in the precompile, 0 to 8."""

def sign(method: int, secret: bytes, context: bytes, message: bytes) -> bytes: ...
def verify(
    method: int, public: bytes, context: bytes, message: bytes, signature: bytes
) -> bool: ...
def sign_separated(scheme_name: str, secret: bytes, context: bytes, message: bytes) -> bytes:
    """Signature of a transaction's body; `scheme_name` is that of a public key, as `sr25519`."""

def verify_separated(
    scheme_name: str, public: bytes, context: bytes, message: bytes, signature: bytes
) -> bool:
    """Whether a signature is right; `ConfigError` for a key that cannot be read."""

def oasis_address(account: bytes) -> bytes:
    """The 21-byte Oasis address of an Ethereum account."""

def open_result(key: bytes, result: bytes) -> bytes:
    """Return data of a sealed result, as the client who holds the session key reads it."""

@final
class RecordCodec:
    """Values of one type from and to CBOR; `shared/encoding/record.py` says what a record is."""

    def __new__(
        cls,
        root: tuple[Any, ...],
        records: list[Any],
        malformed_cbor: type[Exception],
        malformed_record: type[Exception],
    ) -> Self:
        """Take a schema of `shared/encoding/schema.py`, and what is raised for untrusted bytes."""

    def encode(self, value: object) -> bytes:
        """Canonical bytes; raises `ValueError` for a number that has no place in its field."""

    def decode(self, untrusted: bytes) -> Any:
        """Value of canonical bytes; any other encoding of it is refused."""

    def decode_loosely(self, untrusted: bytes) -> Any:
        """Value of bytes in which lengths and orders may be any."""

@final
class FrameCodec:
    """Frames of `shared/encoding/frames.py` from and to bytes. Frozen."""

    def __new__(
        cls,
        request: type[Any],
        response: type[Any],
        failure: type[Any],
        event: type[Any],
        cancel: type[Any],
        malformed: type[Exception],
    ) -> Self:
        """Take the classes, and what is raised for untrusted bytes."""

    def encode(self, frame: object, max_bytes: int) -> bytes:
        """Bytes of a frame, its length first; over `max_bytes` it is refused."""

    def decode(self, untrusted: bytes) -> Any:
        """Frame of the bytes that follow a length."""

@final
class EthereumChain:
    """
    Blocks of Ethereum in memory, each run and checked: roots, sums, fees; not proof of work.

    Questions are about the state after a block, by its number. They raise `EthereumRefused` in
    go-ethereum's words, and `CallFailed` of module `trace` where a trace cannot be had.

    Parameters
    ----------
    genesis : `bytes`
        JSON as go-ethereum takes it.
    blocks : `bytes`
        RLP, one behind the other; the first follows the genesis. `ConfigError` names the one that
        differs from its header, and in what.
    """

    def __new__(cls, genesis: bytes, blocks: bytes) -> Self: ...
    @property
    def newest(self) -> int:
        """Number of the newest block."""

    @property
    def chain_id(self) -> int:
        """Of EIP-155."""

    def block(self, number: int) -> bytes:
        """JSON of all that an index needs: see `shown::whole`."""

    def account(self, number: int, account: bytes) -> tuple[int, int, bytes]:
        """Nonce, balance [wei] and code of an account (20 bytes)."""

    def storage(self, number: int, account: bytes, slot: bytes) -> bytes:
        """A slot (32 bytes) of an account (20 bytes), 32 bytes."""

    def proof(self, number: int, account: bytes, slots: Sequence[tuple[bytes, str]]) -> bytes:
        """JSON as `eth_getProof` answers; slots are 32 bytes each, with the client's name of it."""

    def call(self, number: int, question: bytes) -> bytes:
        """What a call returns; JSON of `call`, `state` and `block` as `eth_call` has them."""

    def estimate_gas(self, number: int, question: bytes) -> int:
        """Least gas with which a call succeeds [gas]."""

    def simulate(self, number: int, payload: bytes) -> bytes:
        """`eth_simulateV1`, JSON to JSON."""

    def simulate_calls(self, number: int, request: bytes) -> bytes:
        """As `Engine.simulate_blocks`, JSON to JSON."""

    def trace(self, number: int, style: bytes, wanted: int | None = None) -> list[bytes]:
        """Traces of the transactions of a block, or of one by its place: JSON of each."""

    def admit(self, raw: bytes) -> bytes:
        """Whether a signed transaction could be in a next block; JSON of what it is."""

    def build(self, request: bytes) -> bytes:
        """`testing_buildBlockV1`, JSON to JSON; the chain stays as it is."""

@final
class FrameBuffer:
    """Collects bytes as they arrive, and gives whole frames."""

    def __new__(cls, codec: FrameCodec) -> Self:
        """Begin with nothing."""

    def feed(self, untrusted: bytes) -> None:
        """Take bytes as they arrive."""

    def take(self, max_bytes: int) -> tuple[Any, int] | None:
        """The next whole frame and its payload's size [bytes]; over `max_bytes` it is refused."""

    def __len__(self) -> int:
        """How much waits here [bytes]."""

@final
class Ed25519Key:
    """An Ed25519 private key. Shows its public one only."""

    def __new__(cls, seed: bytes) -> Ed25519Key: ...
    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes, context: bytes | None = None) -> bytes:
        """Sign a message, or SHA-512/256 of a context and a message; 64 bytes."""

@final
class LightClient:
    """Follows one chain; `shared/rules/light_client.py` is its door. Safe for threads."""

    def __new__(
        cls, chain_id: str, validators: Iterable[Any], *, follows_rewinds: bool
    ) -> LightClient: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    def verify(self, untrusted: bytes) -> tuple[int, int, int, dict[bytes, bytes | None]]:
        """
        Verify an encoded `ProvenState` and go on to its block, or raise `LightClientError`.

        Gives incarnation, height, time [ns] and values.
        """

@final
class StateTree:
    """One version of consensus state. Never changes."""

    @staticmethod
    def empty() -> StateTree:
        """The map without entries."""

    @property
    def root(self) -> bytes:
        """Digest of all entries, 32 bytes; the same for the same entries, however they came."""

    def __len__(self) -> int: ...
    def get(self, key: bytes) -> bytes | None:
        """Value of a key; None where there is none."""

    def keys(self, prefix: bytes) -> list[bytes]:
        """Keys that begin with a prefix, in order."""

    def items(self, prefix: bytes = b"") -> list[tuple[bytes, bytes]]:
        """Entries whose keys begin with a prefix, in the order of their keys."""

    def with_changes(self, changes: dict[bytes, bytes | None]) -> StateTree:
        """The map after changes; None removes an entry, and may name one that is absent."""

    def prove(self, keys: Iterable[bytes]) -> bytes:
        """Proof of the values of keys, and of the absence of those that are not there."""
