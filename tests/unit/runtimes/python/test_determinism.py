"""What a program may not contain is refused when it is read, each with its line."""

import textwrap

import pytest

from runtimes.python.determinism import NotDeterministic, read_program

OFFENDERS = {
    "a clock": "import time",
    "a clock by name": "from time import time",
    "dates": "from datetime import datetime",
    "chance": "import random",
    "secrets": "from secrets import token_bytes",
    "the system": "from os import environ",
    "threads": "from threading import Thread",
    "what a library imports": "from typing import sys",
    "anything of dataclasses": "from dataclasses import sys",
    "the project": "from shared.kit.clock import SystemClock",
    "another program": "from examples.other import PARATIME",
    "a relative import": "from . import other",
    "names nobody lists": "from runtimes.python.sdk import *",
    "what the SDK hides": "from runtimes.python.sdk import __builtins__",
    "a float": "PRICE = 1.5",
    "a float in a function": "def f():\n    return 0.1 + 1",
    "a complex number": "X = 1j",
    "division": "def f(a: int):\n    return a / 2",
    "division in place": "def f(a: int):\n    a /= 2",
    "float()": "def f(a: str):\n    return float(a)",
    "a set": "def f():\n    return {1, 2}",
    "a set of a comprehension": "def f(xs: list):\n    return {x for x in xs}",
    "set()": "def f(xs: list):\n    return set(xs)",
    "frozenset()": "def f(xs: list):\n    return frozenset(xs)",
    "hash()": "def f(x: str):\n    return hash(x)",
    "id()": "def f(x: str):\n    return id(x)",
    "repr()": "def f(x: str):\n    return repr(x)",
    "repr in a text": "def f(x: str):\n    return f'{x!r}'",
    "a width in a text": "def f(x: int):\n    return f'{x:>{x}}'",
    "is": "def f(x: int):\n    return x is 5",
    "eval": "def f(x: str):\n    return eval(x)",
    "exec": "exec('import time')",
    "open": "def f():\n    return open('/etc/passwd')",
    "attributes by text": "def f(x: str):\n    return getattr(x, 'y')",
    "the class of a value": "def f(x: str):\n    return x.__class__",
    "globals of a function": "def f():\n    return f.__globals__",
    "frames": "def f(g: list):\n    return g.gi_frame",
    "what is private to others": "def f(ctx: list):\n    return ctx._state",
    "format": "def f(x: str):\n    return x.format(1)",
    "join": "def f(x: str):\n    return x.join([x])",
    "replace": "def f(x: str):\n    return x.replace('a', 'b')",
    "extend": "def f(x: list):\n    x.extend(x)",
    "a slice that is assigned": "def f(x: list):\n    x[1:] = x",
    "global": "N = 0\ndef f():\n    global N",
    "nonlocal": "def f():\n    n = 0\n    def g():\n        nonlocal n",
    "a list of the module": "CACHE = []",
    "a dict of the module": "CACHE = {}",
    "a dict of the module, by name": "CACHE = dict()",
    "a list of a class": "class A:\n    seen = []",
    "a default that changes": "def f(xs=[]):\n    return xs",
    "state in a class": "class A:\n    n = 0\ndef f():\n    A.n = 1",
    "code of the module": "for i in range(3):\n    pass",
    "a condition of the module": "if True:\n    X = 1",
    "a finalizer": "class A:\n    def __del__(self):\n        pass",
    "attributes out of nothing": "class A:\n    def __getattr__(self, name: str):\n        pass",
    "a metaclass": "class A(metaclass=int):\n    pass",
    "coroutines": "async def f():\n    pass",
    "generators": "def f():\n    yield 1",
    "with": "def f(x: list):\n    with x:\n        pass",
    "any exception": "def f():\n    try:\n        pass\n    except:\n        pass",
    "Exception": "def f():\n    try:\n        pass\n    except Exception:\n        pass",
    "finally": "def f():\n    try:\n        pass\n    finally:\n        pass",
    "the runtime's own names": "def f():\n    __step__ = None",
    "the runtime's names as arguments": "def f(__step__):\n    pass",
    "the runtime's names by exception": (
        "def f():\n    try:\n        pass\n    except KeyError as __step__:\n        pass"
    ),
    "the runtime's names by pattern": (
        "def f(x: int):\n    match x:\n        case __step__:\n            pass"
    ),
    "the runtime's names by import": "from enum import Enum as __step__",
    "the runtime's names as functions": "def __step__():\n    pass",
    "what is computed twice": "def f(x: list):\n    x[len(x)] += 1",
    "an annotation that is a text": "def f(x: \"__import__('typing').sys\"):\n    pass",
    "a text in an annotation": 'def f() -> tuple["int", ...]:\n    pass',
    "a text as a field's annotation": 'class A:\n    x: "int" = 1',
    "no Python": "def f(:",
}


@pytest.mark.parametrize("source", OFFENDERS.values(), ids=list(OFFENDERS))
def test_offenders_are_refused_with_their_line(source: str) -> None:
    with pytest.raises(NotDeterministic) as refused:
        read_program(source, "notes.py", "examples.notes")
    lines = {fault.line for fault in refused.value.faults}
    assert all(1 <= line <= source.count("\n") + 1 for line in lines)
    assert str(refused.value.faults[0]).startswith(f"notes.py:{min(lines)}: ")


def test_all_faults_are_named_at_once() -> None:
    source = "import time\nX = 1.5\ndef f():\n    return {1}\n"
    with pytest.raises(NotDeterministic) as refused:
        read_program(source, "notes.py", "examples.notes")
    assert [fault.line for fault in refused.value.faults] == [1, 2, 4]


def test_an_ordinary_program_is_taken() -> None:
    source = '''
        """A program."""
        from dataclasses import dataclass
        from enum import IntEnum
        from typing import Annotated

        from examples.notes.rules import LIMIT
        from runtimes.python.sdk import Context, Map, Module, Refused, call

        NAMES = ("a", "b")

        class Side(IntEnum):
            BUY = 1

        @dataclass(frozen=True)
        class Order:
            price: int
            side: Side | None = None

        class Book(Module):
            name = "book"
            orders = Map(int, Order)

            @call(gas=10)
            def place(self, ctx: Context, order: Order) -> list[int]:
                found = sorted(o.price // 2 for o in [order] if o.side is not None)
                total = 0
                for price in found:
                    total += price % 7
                try:
                    first = found[0]
                except IndexError:
                    raise Refused(1, f"none of {total}")
                match order.side:
                    case Side.BUY:
                        return [first, *found]
                    case _:
                        return []
    '''
    read_program(textwrap.dedent(source), "notes.py", "examples.notes")
