"""
Runs transactions and questions on one state.

An `Execution` is a round in the making, or a single question. It charges a transaction before its
call runs, so that a call that fails pays as well; what it wrote is kept or dropped as a whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtimes.python import errors
from runtimes.python.accounts import Accounts
from runtimes.python.authentication import Authentic
from runtimes.python.call_format import OPEN_GAS, Opened, open_call, result_nonce, seal_result
from runtimes.python.context import Context
from runtimes.python.core import SIGNATURE_GAS, TX_BYTE_GAS, fail, ok
from runtimes.python.errors import Refused
from runtimes.python.metering import Meter, OutOfGas, TooDeep, ValueTooLarge, metered
from runtimes.python.module import Method, Module
from runtimes.python.overlay import Overlay
from shared.enclave.errors import StateRejected
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import RoundContext
from shared.encoding import cbor
from shared.encoding.record import MalformedRecord
from shared.encoding.values import from_wire, to_wire
from shared.errors import Rejected, RuntimeRejected
from shared.types.identity import Round
from shared.types.sdk_transaction import Call, TransactionRecord

SYSTEM_GAS = 1 << 60
"""Of what the runtime does itself: nobody pays for it."""
MAX_RESULT_BYTES = 64 << 10
RESULT_BYTE_GAS = 15
"""Every node keeps results for good, as it keeps state."""
FAILURES = (
    *(ArithmeticError, AttributeError, LookupError, NameError, StopIteration, TypeError),
    *(AssertionError, ValueError, RecursionError),
)
"""What a program can raise without meaning to. Anything else is a bug of the runtime."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a ParaTime allows."""

    batch_gas: int
    min_gas_price: int


@dataclass(slots=True)
class Execution:
    """One round, or one question."""

    context: RoundContext
    methods: Mapping[str, Method]
    accounts: Accounts
    state: Overlay
    limits: Limits
    keys: Callable[[], RoundKeys] | None
    """None where the ParaTime has no secrets."""
    gas_used: int = 0
    results: list[bytes] = field(default_factory=list)

    @property
    def round(self) -> Round:
        """The round that is made."""
        return Round(self.context.parent.round + 1)

    def start(self, modules: Sequence[Module], balances: Sequence[tuple[bytes, int]]) -> None:
        """Put the first state in place."""
        ctx = self._system()
        total = 0
        for account, units in balances:
            self.accounts.give(ctx, account, units)
            total += units
        self.accounts.supply.set(ctx, b"", total)
        for module in modules:
            ctx.module = module.name
            with metered(ctx.meter):
                module.genesis(ctx)
        self.state.keep()

    # -- transactions --------------------------------------------------------------------------

    def admit(self, authentic: Authentic) -> None:
        """
        Verify what a transaction must fulfil besides its nonce.

        Raises
        ------
        RuntimeRejected
            `core` 5, 11, 12, 16 or 21.
        """
        info = authentic.transaction.ai
        fee, gas = info.fee.amount[0], info.fee.gas
        first, last = info.not_before, info.not_after
        if (first is not None and self.round < first) or (last is not None and self.round > last):
            raise errors.outside_of_rounds()
        if gas > self.limits.batch_gas:
            raise errors.gas_overflow()
        if info.fee.amount[1] != b"" and fee:
            raise errors.gas_price_too_low()
        if self.limits.min_gas_price * gas > fee:
            raise errors.gas_price_too_low()
        prepaid = prepaid_gas(authentic.raw)
        if prepaid > gas:
            raise errors.out_of_gas(gas, prepaid)
        if self.accounts.balance.get(self._system(), authentic.sender, b"", 0) < fee:
            raise errors.insufficient_fee_balance()

    def next_nonce(self, sender: bytes) -> int:
        """Nonce that the sender's next transaction must have."""
        return self.accounts.nonces.get(self._system(), sender, 0)

    def run(self, authentic: Authentic) -> bool:
        """
        Run a transaction, or say that it does not fit any more.

        Raises
        ------
        RuntimeRejected
            It may not be in this round.
        """
        nonce = self.next_nonce(authentic.sender)
        if authentic.nonce < nonce:
            raise errors.invalid_nonce()
        if authentic.nonce > nonce:
            raise errors.future_nonce()
        self.admit(authentic)
        fee = authentic.transaction.ai.fee
        if fee.gas > self.limits.batch_gas - self.gas_used:
            return False
        system = self._system()
        self.accounts.nonces.set(system, authentic.sender, nonce + 1)
        self.accounts.take(system, authentic.sender, fee.amount[0])
        self.state.keep()

        meter = Meter(fee.gas)
        meter.use(prepaid_gas(authentic.raw))
        ctx = self._context(meter, authentic)
        result, key = self._call(ctx, authentic.transaction.call)
        refund = (fee.gas - meter.used) * (fee.amount[0] // fee.gas)
        paid = fee.amount[0] - refund
        system = self._system()
        self.accounts.give(system, authentic.sender, refund)
        if paid:
            self.accounts.fees.set(system, self.accounts.fees.get(system) + paid)
        self.state.keep()
        self.gas_used += meter.used
        record = TransactionRecord(
            hash=authentic.hash,
            sender=authentic.sender,
            nonce=nonce,
            gas_used=meter.used,
            fee=paid,
            result=seal_result(
                result, key, result_nonce(self.context.parent.round, len(self.results))
            ),
            events=_tags(ctx.events),
        )
        self.results.append(cbor.encode(to_wire(TransactionRecord, record)))
        return True

    # -- questions -----------------------------------------------------------------------------

    def ask(self, method: str, args: bytes, gas: int) -> bytes:
        """Answer a query of a module, or raise `RuntimeRejected`."""
        found = self.methods.get(method)
        if found is None or not found.is_query:
            raise errors.invalid_method(method)
        self.state.is_read_only = True
        ctx = self._context(Meter(gas), None)
        result = self._guarded(ctx, found, cbor.decode(args) if args else None)
        if "fail" in result:
            failure = result["fail"]
            raise RuntimeRejected(failure["module"], failure["code"], failure["message"])
        return cbor.encode(result["ok"])

    def read(self, authentic: Authentic, gas: int) -> bytes:
        """Run a signed call that changes nothing; gives its result, sealed where it came sealed."""
        call = authentic.transaction.call
        if not call.ro:
            raise errors.invalid_argument("the transaction is not read-only")
        info = authentic.transaction.ai
        first, last = info.not_before, info.not_after
        if (first is not None and self.round < first) or (last is not None and self.round > last):
            raise errors.outside_of_rounds()
        self.state.is_read_only = True
        result, key = self._call(self._context(Meter(gas), authentic), call)
        return seal_result(result, key, None)

    def estimate(self, call: Call, sender: bytes, raw_bytes: int) -> int:
        """Gas that a call would use, at most the limit of a batch."""
        meter = Meter(self.limits.batch_gas)
        meter.use(SIGNATURE_GAS + TX_BYTE_GAS * raw_bytes)
        ctx = self._context(meter, None)
        ctx.sender, ctx.is_query = sender, True
        self._call(ctx, call)
        return meter.used

    # -- calls ---------------------------------------------------------------------------------

    def _call(self, ctx: Context, call: Call) -> tuple[dict[str, Any], bytes | None]:
        """Open and run a call, keep or drop what it wrote; gives its result and the sealing key."""
        try:
            if call.format:
                ctx.meter.use(OPEN_GAS)
            opened: Opened = open_call(call, self.context.epoch, self.keys)
        except OutOfGas:
            return _out_of_gas(ctx.meter), None
        except RuntimeRejected as error:
            return fail(error.module, error.code, error.message), None
        self.state.is_read_only = self.state.is_read_only or opened.call.ro
        method = self.methods.get(opened.call.method)
        if method is None or method.is_query:
            result = _failure(errors.invalid_method(opened.call.method))
        else:
            result = self._guarded(ctx, method, opened.call.body)
        if opened.call.ro:
            self.state.is_read_only = ctx.is_query
        if "ok" in result:
            self.state.keep()
        else:
            self.state.drop()
            ctx.events.clear()
        return result, opened.key

    def _guarded(self, ctx: Context, method: Method, body: Any) -> dict[str, Any]:
        """Run a method; its failure is a result, a fault of the state or of a key is none."""
        ctx.module = method.module
        self.state.meter = ctx.meter
        try:
            with metered(ctx.meter):
                ctx.meter.use(method.gas)
                arguments = () if method.takes is None else (_read(method.takes, body),)
                value = method.function(ctx, *arguments)
                wire = None if method.gives in (None, type(None)) else to_wire(method.gives, value)
                length = len(cbor.encode(wire))
                if length > MAX_RESULT_BYTES:
                    raise ValueTooLarge(f"a result has at most {MAX_RESULT_BYTES} bytes")
                ctx.meter.use(RESULT_BYTE_GAS * length)
        except OutOfGas:
            return _out_of_gas(ctx.meter)
        except TooDeep:
            return _failure(errors.failed("TooDeep"))
        except Refused as error:
            return fail(method.module, error.code, error.message)
        except StateRejected:
            raise
        except Rejected as error:
            return _failure(error)
        except FAILURES as error:
            return _failure(errors.failed(type(error).__name__))
        return ok(wire)

    def _context(self, meter: Meter, authentic: Authentic | None) -> Context:
        self.state.meter = meter
        parent = self.context.parent
        return Context(
            state=self.state,
            meter=meter,
            sender=None if authentic is None else authentic.sender,
            round=self.round,
            epoch=self.context.epoch,
            timestamp=parent.timestamp,
            tx_hash=bytes(32) if authentic is None else authentic.hash,
            random_root=lambda: self.context.keys().random_root,
            is_query=self.state.is_read_only,
        )

    def _system(self) -> Context:
        """What the runtime itself does costs nobody gas."""
        return self._context(Meter(SYSTEM_GAS), None)


def prepaid_gas(raw: bytes) -> int:
    """Gas that a transaction owes for its size and signature [gas]."""
    return SIGNATURE_GAS + TX_BYTE_GAS * len(raw)


def _read(kind: Any, body: Any) -> Any:
    try:
        return from_wire(kind, body)
    except MalformedRecord as error:
        raise errors.invalid_argument(error.message) from None


def _failure(error: Rejected) -> dict[str, Any]:
    return fail(error.module, error.code, error.message)


def _out_of_gas(meter: Meter) -> dict[str, Any]:
    return _failure(errors.out_of_gas(meter.limit, meter.limit - meter.left))


def _tags(events: Sequence[tuple[str, int, Any]]) -> tuple[tuple[bytes, bytes], ...]:
    """Events by kind, as upstream puts them into tags."""
    by_kind: dict[bytes, list[Any]] = {}
    for module, code, value in events:
        by_kind.setdefault(module.encode() + code.to_bytes(4, "big"), []).append(value)
    return tuple((kind, cbor.encode(values)) for kind, values in by_kind.items())
