"""A program that does not end, or grows, ends its transaction and nothing else."""

import pytest

from qanat.paratime.harness import LocalChain
from qanat.paratime.signing import Account
from shared.errors import RuntimeRejected
from tests.unit.runtimes.python.conftest import MakeChain

ALICE = Account(b"a" * 32)


def outcome(chain: LocalChain, method: str, body: object = None, **changes: object) -> str:
    try:
        chain.send(ALICE, method, body, **changes)
    except RuntimeRejected as error:
        return f"{error.module} {error.code}: {error.message}"
    return "ok"


ENDLESS = {
    "while": "while True:\n    pass",
    "for": "for a in [0] * 1000000:\n    for b in [0] * 1000000:\n        pass",
    "comprehension": "return [a for a in [0] * 1000 for b in [0] * 1000000]",
    "lambda": "return sorted([0] * 1000000, key=lambda x: x)",
    "calls": "for a in range(1000000):\n    self.helper(ctx)",
    "range": "return sum(range(1000000)) + sum(range(1000000)) + sum(range(1000000))",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=list(ENDLESS))
def test_steps_cost_gas_until_it_is_used_up(make_chain: MakeChain, body: str) -> None:
    indented = body.replace("\n", "\n    ")
    chain = make_chain(f"""
def helper(self, ctx: Context) -> None:
    pass
@call(gas=1)
def run(self, ctx: Context):
    {indented}
""")
    assert outcome(chain, "one.Run", gas=500_000).startswith("core 12: out of gas (limit: 500000")
    assert chain.records[-1].gas_used == 500_000
    assert chain.nonce(ALICE) == 1, "it was paid for"


GROWING = {
    "text": "x = 'a'\nfor i in range(100):\n    x = x + x",
    "text in place": "x = 'a'\nfor i in range(100):\n    x += x",
    "list": "x = [0] * 10000000000",
    "bytes": "x = bytes(10000000000)",
    "number": "x = 2 ** 10000000000",
    "number by factors": "x = 3\nfor i in range(100):\n    x = x * x",
    "number by shift": "x = 1 << 10000000000",
    "joined": "x = 'a' * 1000000\nx = join(x, [x] * 1000000)",
    "range": "x = range(10000000000)",
}


@pytest.mark.parametrize("body", GROWING.values(), ids=list(GROWING))
def test_values_do_not_grow_beyond_bounds(make_chain: MakeChain, body: str) -> None:
    indented = body.replace("\n", "\n    ")
    chain = make_chain(f"@call(gas=1)\ndef run(self, ctx: Context):\n    {indented}\n")
    assert outcome(chain, "one.Run").startswith("python 2: ")


REFUSED_AT_RUN_TIME = {
    "keys as a set": "return list({'a': 1, 'b': 2}.keys() & {'a': 1, 'b': 2}.keys())",
    "keys less keys": "return list({'a': 1, 'b': 2}.keys() - {'c': 1}.keys())",
    "text by percent": "return '%1000000000d' % 1",
    "negative power": "return 2 ** (0 - 1)",
    "an object's address": "return f'{self}'",
    "an object's address by str": "return str(self)",
}


@pytest.mark.parametrize("body", REFUSED_AT_RUN_TIME.values(), ids=list(REFUSED_AT_RUN_TIME))
def test_what_differs_between_nodes_fails_alike(make_chain: MakeChain, body: str) -> None:
    chain = make_chain(f"@call(gas=1)\ndef run(self, ctx: Context):\n    {body}\n")
    assert outcome(chain, "one.Run").startswith("python ")


def test_endless_recursion_ends_at_a_depth_of_the_runtimes_own(make_chain: MakeChain) -> None:
    chain = make_chain("""
count = Value(int, 0)
def deeper(self, ctx: Context) -> None:
    self.count.set(ctx, self.count.get(ctx) + 1)
    self.deeper(ctx)
@call(gas=1)
def run(self, ctx: Context) -> None:
    self.deeper(ctx)
@query
def total(self, ctx: Context) -> int:
    return self.count.get(ctx)
""")
    assert outcome(chain, "one.Run") == "python 4: the program failed: TooDeep"
    assert chain.query("one.Total") == 0, "nothing of it was kept"


def test_running_out_cannot_be_caught(make_chain: MakeChain) -> None:
    chain = make_chain("""
done = Value(bool, False)
@call(gas=1)
def run(self, ctx: Context) -> None:
    try:
        while True:
            pass
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError, Refused):
        self.done.set(ctx, True)
@query
def is_done(self, ctx: Context) -> bool:
    return self.done.get(ctx)
""")
    assert outcome(chain, "one.Run", gas=100_000).startswith("core 12")
    assert chain.query("one.IsDone") is False


def test_a_query_ends_as_well(make_chain: MakeChain) -> None:
    chain = make_chain(
        "@query\ndef run(self, ctx: Context) -> int:\n    while True:\n        pass\n"
    )
    with pytest.raises(RuntimeRejected, match="out of gas"):
        chain.query("one.Run")


def test_the_same_call_uses_the_same_gas_on_every_node(make_chain: MakeChain) -> None:
    body = """
seen = Map(int, str)
@call(gas=1)
def run(self, ctx: Context, n: int) -> int:
    for i in range(n):
        self.seen.set(ctx, i, f"item {i}")
    return sum(len(v) for k, v in self.seen.items(ctx))
"""
    used = []
    for _ in range(2):
        chain = make_chain(body)
        chain.send(ALICE, "one.Run", 20)
        used.append((chain.records[-1].gas_used, chain.header.state_root))
    assert used[0] == used[1]


def test_a_result_has_a_bound(make_chain: MakeChain) -> None:
    chain = make_chain(
        "@call(gas=1)\ndef run(self, ctx: Context) -> str:\n    return 'a' * 70000\n"
    )
    assert outcome(chain, "one.Run").startswith("python 2: ")
    assert len(chain.records[-1].result) < 200


def test_a_map_that_is_walked_is_paid_for_before_it_is_opened(make_chain: MakeChain) -> None:
    chain = make_chain(
        """
items = Map(int, str)
@call(gas=1)
def fill(self, ctx: Context) -> None:
    for i in range(100):
        self.items.set(ctx, i, "a" * 500)
@call(gas=1)
def walk(self, ctx: Context) -> int:
    return len(self.items.items(ctx))
""",
        confidential=True,
    )
    chain.send(ALICE, "one.Fill", gas=5_000_000)
    assert outcome(chain, "one.Walk", gas=50_000).startswith("core 12")
    assert chain.send(ALICE, "one.Walk") == 100
