"""What peers and clients send takes bounded memory, counted in bytes."""

import asyncio

import pytest

from services.compute import admission as admission_module
from services.compute import gossip as gossip_module
from services.compute.admission import Admission, NodeBusy
from services.compute.forwarding import MAX_MESSAGE_BYTES, Forwarder
from services.compute.gossip import Gossip
from services.compute.mailbox import MAX_INBOX_BYTES, Mailbox, TransactionsReceived
from services.compute.rules.txpool import BatchLimits

MIB = 1024 * 1024


def new_admission():
    return Admission(None, BatchLimits(1000, MIB), 1000, None, None, lambda task: task.close())


def test_transactions_of_peers_are_bounded_in_bytes():
    gossip = Gossip()
    for number in range(300):
        gossip.add([number.to_bytes(2, "big") + bytes(100_000)])
    assert sum(map(len, gossip)) == gossip.size_bytes <= gossip_module.MAX_BYTES
    assert next(reversed(list(gossip)))[:2] == (299).to_bytes(2, "big")
    gossip.add([bytes(gossip_module.MAX_BYTES + 1)])
    assert len(gossip) > 100
    assert len(gossip.take_all()) > 100
    assert (len(gossip), gossip.size_bytes) == (0, 0)


def test_a_transaction_that_fits_no_batch_is_not_kept():
    admission = new_admission()
    admission.add_gossiped([bytes(MIB + 1)])
    assert admission.pending() == ()
    admission.add_gossiped([bytes(MIB)])
    assert len(admission.pending()) == 1


def test_transactions_that_wait_to_be_put_in_order_are_bounded_in_bytes():
    admission = new_admission()
    for number in range(100):
        admission.add_gossiped([bytes([number]) + bytes(MIB - 1)])
        admission.check_gossiped()
    held = admission._wanted.size_bytes + admission._gossiped.size_bytes
    assert held <= 2 * gossip_module.MAX_BYTES


async def test_transactions_of_clients_that_wait_for_a_check_are_bounded_in_bytes():
    admission = new_admission()
    part = bytes(admission_module.MAX_WAITING_BYTES // 2)
    waiting = [asyncio.ensure_future(admission.submit((part,))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NodeBusy):
        await admission.submit((b"x",))
    for one in waiting:
        one.cancel()


async def test_messages_of_peers_that_wait_for_the_loop_are_bounded_in_bytes():
    mailbox = Mailbox()
    message = TransactionsReceived((bytes(MIB),))
    with pytest.raises(NodeBusy):
        for _ in range(100):
            mailbox.offer(message)
    assert mailbox._queue.qsize() == MAX_INBOX_BYTES // MIB + 1
    await mailbox.take()
    mailbox.offer(message)


async def test_transactions_are_handed_on_in_messages_of_bounded_size():
    sent = []

    class Recorder:
        def send_transactions(self, raws, node_id):
            sent.append(raws)
            return True

    forwarder = Forwarder(b"o" * 32, Recorder())
    forwarder.add([bytes([n]) + bytes(MIB) for n in range(5)], b"a" * 32)
    assert sum(map(len, sent)) == 5
    assert all(sum(map(len, raws)) <= MAX_MESSAGE_BYTES for raws in sent)
    forwarder.clear()
