"""
Steps and sizes of a running program.

`instrument` makes each loop and function of a verified program report to the meter of the
transaction that runs on this thread, and leads operations that could make long values through the
functions here. All of it is deterministic: the same program on the same state uses the same gas.
"""

import ast
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from shared.errors import Rejected

T = TypeVar("T")

STEP_GAS = 20
"""Of a round of a loop, or a call of a function [gas]. A step takes a microsecond or two, so that a
batch of 15,000,000 gas ends within about a second."""
MAX_DEPTH = 100
"""Of functions that call each other. Far below Python's own limit, which depends on the caller."""
MAX_LENGTH = 1 << 20
"""Of any value that a program makes [bytes, characters or items]."""
MAX_INTEGER_BITS = 4096


class OutOfGas(BaseException):
    """The limit is used up. No program can catch it: its `except` may not name it."""


class TooDeep(BaseException):
    """Functions call each other without end."""


class ValueTooLarge(Rejected, module="python", code=2):
    """A value would be longer than a program may make."""


class NotAllowedHere(Rejected, module="python", code=3):
    """An operation whose result would differ from node to node."""


class Meter:
    """What a transaction may still use."""

    __slots__ = ("depth", "left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit
        self.depth = 0

    @property
    def used(self) -> int:
        """Gas used so far, at most the limit [gas]."""
        return self.limit - max(self.left, 0)

    def use(self, gas: int) -> None:
        """Take gas, or raise `OutOfGas`."""
        self.left -= gas
        if self.left < 0:
            raise OutOfGas


class _Running(threading.local):
    meter: Meter | None = None


_running = _Running()


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Count what runs inside on this thread."""
    before, _running.meter = _running.meter, meter
    depth = meter.depth
    try:
        yield meter
    finally:
        _running.meter = before
        meter.depth = depth


def _meter() -> Meter:
    if _running.meter is None:
        raise NotAllowedHere("a program runs in a transaction or a query only")
    return _running.meter


def step() -> None:
    """Count one round of a loop."""
    meter = _running.meter
    if meter is not None:
        meter.left -= STEP_GAS
        if meter.left < 0:
            raise OutOfGas


def enter() -> None:
    """Count the call of a function."""
    step()
    meter = _running.meter
    if meter is not None:
        meter.depth += 1
        if meter.depth > MAX_DEPTH:
            raise TooDeep


def leave() -> None:
    """End a function."""
    meter = _running.meter
    if meter is not None:
        meter.depth -= 1


def counted(items: Iterable[T]) -> Iterator[T]:
    """Count each item that a comprehension takes."""
    for item in items:
        step()
        yield item


def bounded_range(*bounds: int) -> range:
    """`range`, paid for when it is made: `sum` and `list` walk it without a step."""
    numbers = range(*bounds)
    if max(map(abs, bounds), default=0).bit_length() > 63 or len(numbers) > MAX_LENGTH:
        raise ValueTooLarge("a range is too long")
    _meter().use(len(numbers))
    return numbers


def add(left: Any, right: Any) -> Any:
    """`+` of numbers, or of texts, bytes, lists and tuples."""
    if isinstance(left, int) and isinstance(right, int):
        return _checked_int(left + right)
    if type(left) is not type(right) or not isinstance(left, str | bytes | list | tuple):
        raise TypeError("+ takes two numbers, or two of one kind")
    if len(left) + len(right) > MAX_LENGTH:
        raise ValueTooLarge("a value is too long")
    result = left + right
    _meter().use(len(result) >> 3)
    return result


def subtract(left: Any, right: Any) -> Any:
    """`-` of numbers; of the keys of dicts it would be a set."""
    return _checked_int(_int(left) - _int(right))


def multiply(left: Any, right: Any) -> Any:
    """`*` of numbers, or of a text, bytes, list or tuple and a number."""
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > 2 * MAX_INTEGER_BITS:
            raise ValueTooLarge("a number is too large")
        return _checked_int(left * right)
    if isinstance(left, int):
        left, right = right, left
    if not isinstance(left, str | bytes | list | tuple) or not isinstance(right, int):
        raise TypeError("* takes two numbers, or a sequence and a number")
    if len(left) * max(right, 0) > MAX_LENGTH:
        raise ValueTooLarge("a value is too long")
    result = left * right
    _meter().use(len(result) >> 3)
    return result


def power(base: int, exponent: int, modulus: int | None = None) -> int:
    """`**` and `pow` of whole numbers."""
    if _int(exponent) < 0 and modulus is None:
        raise NotAllowedHere("a negative power is a float")
    if modulus is None:
        if _int(base).bit_length() * exponent > 2 * MAX_INTEGER_BITS:
            raise ValueTooLarge("a number is too large")
        return _checked_int(base**exponent)
    for number in (_int(base), exponent, _int(modulus)):
        _checked_int(number)
    _meter().use(200)
    return pow(base, exponent, modulus)


def shift(left: int, bits: int) -> int:
    """`<<`."""
    if _int(left).bit_length() + _int(bits) > MAX_INTEGER_BITS:
        raise ValueTooLarge("a number is too large")
    return left << bits


def modulo(left: int, right: int) -> int:
    """`%` of numbers; of a text it would format."""
    return _int(left) % _int(right)


def bitwise(operator: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    """`& | ^` of numbers; of the keys of dicts it would be a set. `|` also joins types."""

    def apply(left: Any, right: Any) -> Any:
        if isinstance(left, type) or left is None:
            return left | right
        return operator(_int(left), _int(right))

    return apply


def text(value: object = "") -> str:
    """`str`, and what an f-string shows: of a text, a number or a truth value."""
    if isinstance(value, str | bool | int) and type(value) in (str, bool, int):
        return str(value)
    raise NotAllowedHere("only texts, numbers and truth values can be shown")


def make_bytes(value: Any = b"") -> bytes:
    """`bytes`: of bytes, of a list of numbers, or so many zeros."""
    if isinstance(value, int):
        if not 0 <= value <= MAX_LENGTH:
            raise ValueTooLarge("a value is too long")
        _meter().use(value >> 3)
    return bytes(value)


def join(separator: Any, parts: Sequence[Any]) -> Any:
    """Join texts, or bytes."""
    parts = list(parts)
    length = sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0)
    if length > MAX_LENGTH:
        raise ValueTooLarge("a value is too long")
    _meter().use(length >> 3)
    return separator.join(parts)


def to_bytes(number: int, length: int) -> bytes:
    """Big-endian bytes of a number that is not negative."""
    if not 0 <= length <= MAX_LENGTH:
        raise ValueTooLarge("a value is too long")
    return int(number).to_bytes(length, "big")


def _int(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("only numbers")
    return value


def _checked_int(number: int) -> int:
    if number.bit_length() > MAX_INTEGER_BITS:
        raise ValueTooLarge("a number is too large")
    return number


HOOKS: dict[str, Callable[..., Any]] = {
    "__step__": step,
    "__enter__": enter,
    "__leave__": leave,
    "__counted__": counted,
    "__add__": add,
    "__sub__": subtract,
    "__mul__": multiply,
    "__pow__": power,
    "__shift__": shift,
    "__mod__": modulo,
    "__and__": bitwise(int.__and__),
    "__or__": bitwise(int.__or__),
    "__xor__": bitwise(int.__xor__),
    "__text__": text,
    "__bytes__": make_bytes,
}
"""By the names under which instrumented programs call them; a program cannot write such a name."""

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Pow: "__pow__",
    ast.LShift: "__shift__",
    ast.Mod: "__mod__",
    ast.BitAnd: "__and__",
    ast.BitOr: "__or__",
    ast.BitXor: "__xor__",
}
_CALLS = {"str": "__text__", "bytes": "__bytes__"}


def instrument(tree: ast.Module) -> ast.Module:
    """Make a verified program count its steps."""
    instrumented: ast.Module = _Instrument().visit(tree)
    return ast.fix_missing_locations(instrumented)


class _Instrument(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        node.args.kw_defaults = [one and self.visit(one) for one in node.args.kw_defaults]
        body = [self.visit(statement) for statement in node.body]
        ends = ast.Try(body=body, handlers=[], orelse=[], finalbody=[_statement("__leave__")])
        node.body = [_statement("__enter__"), ends]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = node.value and self.visit(node.value)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        node.body.insert(0, _statement("__step__"))
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.body.insert(0, _statement("__step__"))
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.iter = _call("__counted__", node.iter)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        # `step()` gives None, so the body is what counts.
        node.body = ast.BoolOp(op=ast.Or(), values=[_call("__step__"), node.body])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        hook = _OPERATORS.get(type(node.op))
        return node if hook is None else _call(hook, node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        hook = _OPERATORS.get(type(node.op))
        if hook is None:
            return node
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.Assign(targets=[node.target], value=_call(hook, read, node.value))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            node.func = ast.Name(_CALLS[node.func.id], ast.Load())
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        node.value = _call("__text__", node.value)
        return node


def _call(hook: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(hook, ast.Load()), args=list(arguments), keywords=[])


def _statement(hook: str) -> ast.Expr:
    return ast.Expr(value=_call(hook))
