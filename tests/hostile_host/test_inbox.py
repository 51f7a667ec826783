"""What consensus hands to a round: the host brings it, and cannot make it up."""

from dataclasses import replace

import pytest

from services.compute.enclave.errors import WrongInbox
from shared.encoding.record import encode_record
from shared.types.messages import Inbox, MessageResult, Payout, hash_inbox, hash_messages
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench
from tests.support.evm_state import created_by
from tests.support.module_calls import FORWARD, amount, asked, init_code


@pytest.fixture
def bench() -> Bench:
    """A chain whose round 3 asked consensus for something."""
    bench = Bench()
    program = bench.start("a")
    bench.run(program, raw(0, to=b"", data=init_code(FORWARD), value=0, gas=1_000_000))
    body = asked("consensus.Withdraw", {"amount": amount(0)})
    asking = raw(1, to=created_by(RICH, 0), value=0, data=body, gas=500_000)
    executed = program.execute(3, (asking,))
    assert len(executed.messages) == 1
    assert executed.header.messages_hash == hash_messages(executed.messages)
    program.advance(encode_record(bench.finalize(executed)))
    bench.asked = program
    return bench


def test_an_inbox_that_consensus_did_not_hand_over_is_refused(bench):
    handed = bench.chain.inbox()
    assert hash_inbox(handed) == bench.chain.head.in_msgs_hash
    assert handed.results[0].code != 0, "nobody transfers nothing"
    payout = Payout(1, b"\0" * 21, 10**9)
    for forged in (
        None,
        Inbox(),
        Inbox((MessageResult(),)),
        replace(handed, payouts=(payout,)),
        replace(handed, results=handed.results * 2),
    ):
        with pytest.raises(WrongInbox):
            bench.asked.execute(4, (), forged)
    assert bench.asked.execute(4, (), handed).header.round == 4


def test_an_inbox_is_heard_once(bench):
    handed = bench.chain.inbox()
    executed = bench.asked.execute(4, (), handed)
    bench.asked.advance(encode_record(bench.finalize(executed)))
    with pytest.raises(WrongInbox):
        bench.asked.execute(5, (), handed)
    assert bench.asked.execute(5, ()).messages == ()
