import asyncio

import pytest

from services.gateway.submitter import Submitter
from shared.api.compute import ComputeStatus, Submission
from shared.errors import (
    PeerFailed,
    PeerUnavailable,
    RemoteUnavailable,
    RuntimeRejected,
    Unavailable,
)
from shared.gateways import compute_nodes
from shared.gateways.compute_nodes import ComputeNodes
from shared.types.key_requests import EphemeralSecretMissing
from tests.support.turns import until


class Node:
    def __init__(self, name):
        self.name = name
        self.failure = None
        self.batches = []

    async def fetch_min_gas_price(self):
        if self.failure:
            raise self.failure
        return self.name

    async def submit_transactions(self, raws):
        if self.failure:
            raise self.failure
        self.batches.append(raws)
        return tuple(Submission(raw.rjust(32, b"\0")) for raw in raws)


@pytest.fixture
def fakes():
    return [Node(name) for name in "abcd"]


@pytest.fixture
def nodes(fakes):
    nodes = ComputeNodes({node.name: node for node in fakes})
    for node in nodes.members:
        node.round = 10
    return nodes


async def never_mined(hash_):
    return False


def status(name, *, is_worker):
    return ComputeStatus(
        name, bytes(32), bytes(32), 10, bytes(32), 2, True, is_worker, False, bytes(32), True
    )


async def ask(nodes, times=1):
    answers = []
    for _ in range(times):
        answers.append(await nodes.ask(lambda api: api.fetch_min_gas_price()))
        # The next question is of a later moment.
        await asyncio.sleep(0)
    return answers


async def test_questions_go_around(nodes):
    assert sorted(await ask(nodes, 4)) == ["a", "b", "c", "d"]


async def test_node_that_is_behind_is_passed_over(nodes):
    nodes.members[0].round = 9
    nodes.members[1].round = -1
    assert set(await ask(nodes, 8)) == {"c", "d"}


async def test_node_that_fails_the_probe_is_passed_over(nodes):
    nodes.members[0].fails_probe = True
    assert set(await ask(nodes, 8)) == {"b", "c", "d"}
    for node in nodes.members:
        node.fails_probe = True
    assert len(await ask(nodes)) == 1


async def test_node_that_fails_is_marked_down_and_another_one_asked(nodes, fakes):
    fakes[0].failure = PeerUnavailable("gone")
    assert set(await ask(nodes, 8)) == {"b", "c", "d"}
    assert not nodes.members[0].is_up


async def test_what_the_runtime_refuses_is_not_asked_again(nodes, fakes):
    for fake in fakes:
        fake.failure = RuntimeRejected("evm", 8, "reverted: ")
    with pytest.raises(RuntimeRejected):
        await ask(nodes)
    assert all(node.is_up for node in nodes.members)


async def test_all_down_gives_the_last_reason(nodes, fakes):
    for fake in fakes:
        fake.failure = PeerUnavailable(f"{fake.name} is gone")
    with pytest.raises(PeerUnavailable, match="is gone"):
        await ask(nodes)


class FailsTwice:
    """Fails the first two times that all four nodes are asked."""

    def __init__(self, failure):
        self.failure, self.asked = failure, 0

    def __call__(self):
        self.asked += 1
        return self.failure if self.asked <= 2 * 4 else None


def failing(fakes, failures, monkeypatch):
    for fake in fakes:

        async def answer(fake=fake):
            failure = failures()
            if failure:
                raise failure
            return fake.name

        monkeypatch.setattr(fake, "fetch_min_gas_price", answer)


async def test_a_question_waits_for_keys_of_an_epoch_that_has_just_begun(nodes, fakes, monkeypatch):
    failures = FailsTwice(EphemeralSecretMissing("no ephemeral secret of epoch 6 on this node"))
    failing(fakes, failures, monkeypatch)
    assert len(await ask(nodes)) == 1
    assert failures.asked == 2 * 4 + 1
    assert all(node.is_up for node in nodes.members)


async def test_a_transaction_waits_for_them_as_well(nodes, fakes, monkeypatch):
    failures = FailsTwice(EphemeralSecretMissing("no ephemeral secret of epoch 6 on this node"))
    failing(fakes, failures, monkeypatch)
    assert await nodes.ask_favourite(lambda api: api.fetch_min_gas_price()) in "abcd"
    assert failures.asked == 2 * 4 + 1


async def test_keys_that_do_not_come_are_told_of(nodes, fakes, monkeypatch):
    monkeypatch.setattr(compute_nodes, "KEYS_WAIT_S", 0.05)
    for fake in fakes:
        fake.failure = RemoteUnavailable("keys", 20, "no ephemeral secret of epoch 6 on this node")
    with pytest.raises(Unavailable, match="epoch 6"):
        await ask(nodes)


async def test_other_reasons_are_not_waited_for(nodes, fakes, monkeypatch):
    failures = FailsTwice(PeerFailed("met a bug"))
    failing(fakes, failures, monkeypatch)
    with pytest.raises(PeerFailed):
        await ask(nodes)
    assert failures.asked == 4


async def test_node_that_hangs_is_given_up(nodes, fakes, monkeypatch):
    monkeypatch.setattr(compute_nodes, "ANSWER_TIMEOUT_S", 0.01)

    async def hang():
        await asyncio.Event().wait()

    monkeypatch.setattr(fakes[0], "fetch_min_gas_price", hang)
    assert set(await ask(nodes, 5)) == {"b", "c", "d"}


@pytest.fixture
def impatient(monkeypatch):
    """Ask another node at once, where the first one does not answer."""
    monkeypatch.setattr(compute_nodes, "PATIENCE_S", 0.01)


async def test_another_node_is_asked_beside_one_that_is_silent(
    nodes, fakes, impatient, monkeypatch
):
    monkeypatch.setattr(fakes[1], "fetch_min_gas_price", asyncio.Event().wait)
    assert set(await ask(nodes, 5)) == {"a", "c", "d"}
    # Silence alone is no failure: a call may take its time.
    assert nodes.members[1].is_up


async def test_answer_that_takes_its_time_is_taken(nodes, fakes, impatient, monkeypatch):
    asked = []

    async def answer_late():
        # Not before another one was asked beside it.
        asked.append(1)
        await until(lambda: len(asked) > 1)
        return "late"

    for fake in fakes:
        monkeypatch.setattr(fake, "fetch_min_gas_price", answer_late)
    assert await ask(nodes) == ["late"]


async def test_failure_of_the_node_asked_beside_leaves_the_first_its_time(
    nodes, fakes, impatient, monkeypatch
):
    async def answer_late():
        await until(lambda: not any(node.is_up for node in nodes.members if node.name != "b"))
        return "late"

    monkeypatch.setattr(fakes[1], "fetch_min_gas_price", answer_late)
    for fake in (fakes[0], fakes[2], fakes[3]):
        fake.failure = PeerUnavailable(f"{fake.name} is gone")
    assert await ask(nodes) == ["late"]


async def test_what_the_runtime_refuses_beside_is_the_answer(nodes, fakes, impatient, monkeypatch):
    monkeypatch.setattr(fakes[1], "fetch_min_gas_price", asyncio.Event().wait)
    for fake in (fakes[0], fakes[2], fakes[3]):
        fake.failure = RuntimeRejected("evm", 8, "reverted: ")
    with pytest.raises(RuntimeRejected):
        await ask(nodes)


async def test_no_question_goes_on_after_the_answer(nodes, fakes, impatient, monkeypatch):
    monkeypatch.setattr(fakes[1], "fetch_min_gas_price", asyncio.Event().wait)
    await ask(nodes)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            for fake in fakes:
                monkeypatch.setattr(fake, "fetch_min_gas_price", asyncio.Event().wait)
            await ask(nodes)
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)


async def test_transactions_move_to_another_worker_first(nodes, fakes, impatient, monkeypatch):
    nodes.members[0].status = status("a", is_worker=False)
    nodes.members[2].status = status("c", is_worker=True)
    nodes.members[3].status = status("d", is_worker=True)

    async def hang(raws):
        await asyncio.Event().wait()

    monkeypatch.setattr(fakes[2], "submit_transactions", hang)
    submitter = Submitter(nodes, never_mined)
    for raw in (b"1", b"2"):
        await submitter.submit(raw)
    assert fakes[3].batches == [(b"1",), (b"2",)]


async def test_transactions_move_away_from_a_silent_node(nodes, fakes, impatient, monkeypatch):
    nodes.members[2].status = status("c", is_worker=True)

    async def hang(raws):
        await asyncio.Event().wait()

    monkeypatch.setattr(fakes[2], "submit_transactions", hang)
    submitter = Submitter(nodes, never_mined)
    assert (await submitter.submit(b"1")).tx_hash is not None
    monkeypatch.setattr(compute_nodes, "PATIENCE_S", 60)
    assert (await submitter.submit(b"2")).tx_hash is not None


@pytest.mark.parametrize("is_mined", [True, False])
async def test_what_a_node_handed_on_before_it_ended_is_no_spent_nonce(nodes, fakes, is_mined):
    async def until_mined(hash_):
        return is_mined

    async def refuse(raws):
        return tuple(Submission(raw.rjust(32, b"\0"), "core", 4, "invalid nonce") for raw in raws)

    for fake in fakes[1:]:
        fake.submit_transactions = refuse
    submitter = Submitter(nodes, until_mined)
    assert not (await submitter.submit(b"1")).module
    fakes[0].failure = PeerUnavailable("gone")
    assert (await submitter.submit(b"2")).module == ("" if is_mined else "core")
    # Where only one was asked, what it says is so.
    assert (await submitter.submit(b"3")).module == "core"


async def test_transactions_stay_with_one_worker(nodes, fakes):
    nodes.members[0].status = status("a", is_worker=False)
    nodes.members[2].status = status("c", is_worker=True)
    submitter = Submitter(nodes, never_mined)
    for raw in (b"1", b"2", b"3"):
        await submitter.submit(raw)
    assert fakes[2].batches == [(b"1",), (b"2",), (b"3",)]


async def test_transactions_move_to_a_worker_of_the_epoch_once_nothing_waits(nodes, fakes):
    nodes.members[2].status = status("c", is_worker=True)
    submitter = Submitter(nodes, never_mined)
    await submitter.submit(b"1")
    nodes.members[2].status = status("c", is_worker=False)
    nodes.members[1].status = status("b", is_worker=True)
    await submitter.submit(b"2")
    for hash_ in submitter.accepted.raws():
        submitter.accepted.discard(hash_)
    await submitter.submit(b"3")
    assert fakes[2].batches == [(b"1",), (b"2",)], "only its pool is sure to have the first one"
    assert fakes[1].batches == [(b"3",)]


async def test_transactions_move_when_their_node_falls_behind(nodes, fakes):
    nodes.members[2].status = status("c", is_worker=True)
    submitter = Submitter(nodes, never_mined)
    await submitter.submit(b"1")
    nodes.members[2].round = 9
    await submitter.submit(b"2")
    nodes.members[2].round = 4
    await submitter.submit(b"3")
    assert fakes[2].batches == [(b"1",), (b"2",)]


async def test_transactions_of_one_turn_share_a_message(nodes, fakes):
    submitter = Submitter(nodes, never_mined)
    answers = await asyncio.gather(*(submitter.submit(bytes([n])) for n in range(50)))
    assert [answer.tx_hash[-1] for answer in answers] == list(range(50))
    assert sum(len(fake.batches) for fake in fakes) == 1


async def test_every_sender_hears_of_a_failure(nodes, fakes):
    for fake in fakes:
        fake.failure = PeerUnavailable("gone")
    submitter = Submitter(nodes, never_mined)
    outcomes = await asyncio.gather(
        *(submitter.submit(b"x") for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [PeerUnavailable] * 3


async def test_too_few_answers_are_a_failure_of_the_node(nodes, fakes, monkeypatch):
    async def forget(raws):
        return ()

    for fake in fakes:
        monkeypatch.setattr(fake, "submit_transactions", forget)
    with pytest.raises(PeerFailed, match="1 transactions got 0 answers"):
        await Submitter(nodes, never_mined).submit(b"x")
