"""Questions of one moment are one message; what becomes of each is its own."""

import asyncio

import pytest

from shared.errors import PeerFailed, PeerUnavailable, RuntimeRejected
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.together import QUESTIONS_A_MESSAGE
from shared.types.queries import MAX_TOGETHER_BYTES, QueryAnswer
from tests.support.turns import turns


class Node:
    """Echoes; keeps what each message asked."""

    def __init__(self):
        self.alone, self.together = [], []
        self.failure = None
        self.is_let_go = asyncio.Event()
        self.is_let_go.set()
        self.withdrawn = 0

    async def query(self, method, args, round=None):  # noqa: A002
        self.alone.append((method, args, round))
        return await self._answer(args)

    async def query_all(self, queries):
        self.together.append([query.args for query in queries])
        await self._answer(b"")
        refusal = QueryAnswer.failed(RuntimeRejected("evm", 8, "reverted: no", b"why"))
        return tuple(refusal if one.args == b"bad" else QueryAnswer(one.args) for one in queries)

    async def _answer(self, args):
        try:
            await self.is_let_go.wait()
        except asyncio.CancelledError:
            self.withdrawn += 1
            raise
        if self.failure:
            raise self.failure
        return args


@pytest.fixture
async def node():
    return Node()


def gateway_of(*nodes):
    found = ComputeNodes({str(at): node for at, node in enumerate(nodes)})
    for member in found.members:
        member.round = 10
    return found


@pytest.fixture
def api(node):
    return gateway_of(node)


def ask(api, *args):
    return asyncio.gather(*(api.query("evm.Call", one) for one in args), return_exceptions=True)


async def test_questions_of_one_moment_are_one_message_with_an_answer_each(api, node):
    assert await ask(api, b"a", b"b", b"c") == [b"a", b"b", b"c"]
    assert (node.together, node.alone) == ([[b"a", b"b", b"c"]], [])


async def test_later_ones_are_another_message(api, node):
    for one in (b"a", b"b"):
        assert await ask(api, one, one) == [one, one]
    assert node.together == [[b"a", b"a"], [b"b", b"b"]]


async def test_one_that_is_alone_is_asked_as_ever(api, node):
    assert await api.query("evm.Call", b"a") == b"a"
    assert node.alone == [("evm.Call", b"a", None)]


async def test_those_about_older_states_and_large_ones_go_alone(api, node):
    large = bytes(MAX_TOGETHER_BYTES + 1)
    asked = (api.query("m", b"a", 7), api.query("m", b"b", 7), api.query("m", large))
    assert await asyncio.gather(*asked) == [b"a", b"b", large]
    assert node.alone == [("m", b"a", 7), ("m", b"b", 7), ("m", large, None)]
    assert node.together == []


async def test_more_than_a_message_holds_are_several(api, node):
    args = [bytes([at]) for at in range(2 * QUESTIONS_A_MESSAGE + 1)]
    assert await ask(api, *args) == args
    assert [len(one) for one in node.together] == [QUESTIONS_A_MESSAGE] * 2
    assert len(node.alone) == 1


async def test_messages_of_one_moment_go_to_different_nodes():
    nodes = [Node(), Node()]
    args = [bytes([at]) for at in range(2 * QUESTIONS_A_MESSAGE)]
    assert await ask(gateway_of(*nodes), *args) == args
    assert [len(one) for node in nodes for one in node.together] == [QUESTIONS_A_MESSAGE] * 2


async def test_where_a_node_fails_the_whole_message_goes_to_another_one():
    nodes = [Node(), Node()]
    nodes[1].failure = PeerUnavailable("the node is gone")
    assert await ask(gateway_of(*nodes), b"a", b"b") == [b"a", b"b"]
    assert nodes[0].together == nodes[1].together == [[b"a", b"b"]]


async def test_what_one_node_lacks_another_one_is_asked_for():
    nodes = [Node(), Node()]

    async def lacks(queries):
        return tuple(QueryAnswer.failed(PeerFailed("a bug")) for _ in queries)

    for node in nodes:
        node.query_all = lacks
    assert await ask(gateway_of(*nodes), b"a", b"b") == [b"a", b"b"]
    assert sorted(args for node in nodes for _, args, _ in node.alone) == [b"a", b"b"]


async def test_an_error_is_that_of_its_question_alone(api):
    first, refusal, last = await ask(api, b"a", b"bad", b"c")
    assert (first, last) == (b"a", b"c")
    assert isinstance(refusal, RuntimeRejected)
    assert (refusal.module, refusal.code, refusal.data) == ("evm", 8, b"why")


@pytest.mark.parametrize("args", [(b"a",), (b"a", b"b")])
async def test_a_message_that_fails_fails_all_that_wait_for_it(api, node, args):
    node.failure = PeerUnavailable("the node is gone")
    assert await ask(api, *args) == [node.failure] * len(args)


async def test_what_a_node_leaves_is_asked_one_by_one(api, node, monkeypatch):
    async def only_the_first(queries):
        return (QueryAnswer(queries[0].args),)

    monkeypatch.setattr(node, "query_all", only_the_first)
    assert await ask(api, b"a", b"b", b"c") == [b"a", b"b", b"c"]
    assert [args for _, args, _ in node.alone] == [b"b", b"c"]


@pytest.mark.parametrize("count", [0, 3])
async def test_a_node_that_answers_none_or_too_many_has_a_bug(api, node, monkeypatch, count):
    async def wrong(queries):
        return (QueryAnswer(b"a"),) * count

    monkeypatch.setattr(node, "query_all", wrong)
    answers = await ask(api, b"a", b"b")
    assert [type(one) for one in answers] == [PeerFailed, PeerFailed]
    assert node.alone == []


async def test_who_no_longer_waits_takes_nothing_from_the_others(api, node):
    node.is_let_go.clear()
    leaving = asyncio.create_task(api.query("m", b"a"))
    staying = asyncio.create_task(api.query("m", b"b"))
    await turns(3)
    leaving.cancel()
    await turns(3)
    node.is_let_go.set()
    assert await staying == b"b"
    assert node.withdrawn == 0


@pytest.mark.parametrize("count", [1, 3])
async def test_a_message_is_withdrawn_once_nobody_waits_for_it(api, node, count):
    node.is_let_go.clear()
    asking = [asyncio.create_task(api.query("m", b"a")) for _ in range(count)]
    await turns(3)
    for task in asking:
        task.cancel()
    await turns(3)
    assert node.withdrawn == 1


async def test_who_leaves_before_it_is_sent_is_not_asked_for(api, node):
    leaving = asyncio.create_task(api.query("m", b"a"))
    staying = asyncio.create_task(api.query("m", b"b"))
    await turns(1)
    leaving.cancel()
    assert await staying == b"b"
    assert (node.together, node.alone) == ([], [("m", b"b", None)])
