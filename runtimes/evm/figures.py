"""
What contracts ask of consensus: what stake is worth, and what rounds of ParaTimes came to.

Sub-calls that the native core hands out, since their answers stand in consensus, not in the state.
Source: oasis-sdk `runtime-sdk/src/modules/{consensus,consensus_accounts}/mod.rs` @ 00da39c.
Differs: a transaction may call these methods itself, which upstream leaves to contracts.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.enclave.consensus_view import ConsensusView
from shared.encoding import cbor
from shared.encoding.cbor import MalformedCbor
from shared.encoding.quantity import encode_quantity

GAS = 10_000
"""Of each of both methods."""
SHARES_TO_TOKENS, ROUND_ROOT = "consensus.SharesToTokens", "consensus.RoundRoot"
ACTIVE, DEBONDING = 1, 2
"""Pools of an account, as `pool` numbers them; 0 is none."""
STATE_ROOT, IO_ROOT = 1, 2
"""Roots of a round, as `kind` numbers them."""
ADDRESS_BYTES, RUNTIME_ID_BYTES = 21, 32
MAX_U64, MAX_U128 = 2**64 - 1, 2**128 - 1

Reply = tuple[int, bytes, int]
"""Status, CBOR or the name of the module that refuses, and gas used."""
MALFORMED = (10, b"core")
INVALID_ARGUMENT = (1, b"consensus_accounts")
OUT_OF_GAS = (12, b"core")


class _Refused(Exception):
    """The question has no answer, by the rules of the module."""

    def __init__(self, status: int, module: bytes) -> None:
        super().__init__(status, module)
        self.status, self.module = status, module


class Figures:
    """Answers sub-calls by the state that the round reads; see `evm_native.Engine`."""

    def __init__(self) -> None:
        # The core asks on the thread that runs the round or the question.
        self._here = threading.local()

    @contextmanager
    def of(self, view: ConsensusView | None) -> Iterator[None]:
        """Let what runs on this thread read a state of consensus; None lets it read none."""
        self._here.view = view
        try:
            yield
        finally:
            self._here.view = None

    def __call__(
        self,
        method: str,
        body: bytes,
        caller: bytes,  # noqa: ARG002 - anybody may ask
        read_only: bool,  # noqa: ARG002 - nothing is changed
        gas: int,
    ) -> Reply | None:
        """
        Answer a sub-call; None where this is none of its methods, or nothing can be read.

        Raises
        ------
        ConsensusUnproven, PeerUnavailable
            The host does not prove what is asked: the round cannot be executed now.
        """
        view: ConsensusView | None = getattr(self._here, "view", None)
        if view is None or method not in (SHARES_TO_TOKENS, ROUND_ROOT):
            return None
        fields = _fields(body)
        if fields is None:
            return *MALFORMED, 0
        if gas < GAS:
            return *OUT_OF_GAS, 0
        try:
            if method == SHARES_TO_TOKENS:
                return 0, cbor.encode(_shares_to_tokens(view, fields)), GAS
            return 0, cbor.encode(_round_root(view, fields)), GAS
        except _Refused as refusal:
            return refusal.status, refusal.module, GAS


def _shares_to_tokens(view: ConsensusView, fields: dict[str, Any]) -> bytes:
    """Base units of consensus, as a quantity: big-endian, without leading zeros."""
    address = _take_bytes(fields, "address", ADDRESS_BYTES)
    pool = _take_number(fields, "pool")
    shares = _take_quantity(fields, "shares")
    if fields or pool not in (0, ACTIVE, DEBONDING):
        raise _Refused(*MALFORMED)
    if pool == 0:
        raise _Refused(*INVALID_ARGUMENT)
    active, debonding = view.escrow(address)
    balance, total_shares = active if pool == ACTIVE else debonding
    product = shares * balance
    if product > MAX_U128 or total_shares == 0:
        raise _Refused(*INVALID_ARGUMENT)
    tokens = product // total_shares
    return encode_quantity(tokens)


def _round_root(view: ConsensusView, fields: dict[str, Any]) -> bytes | None:
    runtime_id = _take_bytes(fields, "runtime_id", RUNTIME_ID_BYTES)
    round_ = _take_number(fields, "round")
    kind = _take_number(fields, "kind")
    if fields or kind not in (STATE_ROOT, IO_ROOT):
        raise _Refused(*MALFORMED)
    roots = view.round_roots(runtime_id, round_)
    if roots is None:
        return None
    state_root, io_root = roots
    return state_root if kind == STATE_ROOT else io_root


def _fields(body: bytes) -> dict[str, Any] | None:
    """Read a map with text keys; None for anything else."""
    try:
        value: Any = cbor.decode_loosely(body)
    except MalformedCbor:
        return None
    is_map = isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return value if is_map else None


def _take_bytes(fields: dict[str, Any], name: str, size: int) -> bytes:
    match fields.pop(name, None):
        case bytes(value) if len(value) == size:
            return value
    raise _Refused(*MALFORMED)


def _take_number(fields: dict[str, Any], name: str) -> int:
    """Take a number of 64 bits that may be left out, which is a zero."""
    value = fields.pop(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_U64:
        raise _Refused(*MALFORMED)
    return value


def _take_quantity(fields: dict[str, Any], name: str) -> int:
    """Take a quantity of 128 bits. Upstream's Solidity library writes leading zeros."""
    match fields.pop(name, None):
        case bytes(value) if len(value) <= 32 and int.from_bytes(value, "big") <= MAX_U128:
            return int.from_bytes(value, "big")
    raise _Refused(*MALFORMED)
