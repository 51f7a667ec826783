"""A host that would like to edit the state: without the owner's key its enclave does not."""

import pytest

from services.gateway.dev_transactions import EditKind
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from tests.support.edits import make_edit
from tests.support.enclave_bench import RICH, Bench, account
from tests.support.world_genesis import EVM_CHAIN_ID

OWNER, HOST = Signer(b"\x0c" * 32), Signer(b"\x0d" * 32)
BALANCE = (7).to_bytes(1, "big")


def edit(signer: Signer, nonce: int = 0, chain_id: int = EVM_CHAIN_ID) -> bytes:
    return make_edit(signer, chain_id, nonce, EditKind.BALANCE, RICH, BALANCE)


@pytest.fixture
def bench():
    return Bench()


def test_the_owner_edits(bench):
    program = bench.start(dev_control_key=OWNER.public_key)
    (checked,) = program.check((edit(OWNER),))
    assert checked.module == ""
    round_ = bench.run(program, edit(OWNER)).block.header.round
    assert account(program, round_).balance == 7


def test_every_worker_comes_to_the_same_state(bench):
    first = bench.start("a", dev_control_key=OWNER.public_key)
    second = bench.start("b", dev_control_key=OWNER.public_key)
    round_ = bench.chain.head.round + 1
    roots = {one.execute(round_, (edit(OWNER),)).header.state_root for one in (first, second)}
    assert len(roots) == 1


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        (OWNER, edit(HOST)),
        (OWNER, edit(OWNER, chain_id=EVM_CHAIN_ID + 1)),
        (OWNER, edit(OWNER)[:-1] + b"\x08"),
        (None, edit(OWNER)),
        (None, edit(HOST)),
    ],
    ids=["another key", "another chain", "another value", "no dev controls", "nobody's word"],
)
def test_nobody_else_does(bench, key, raw):
    program = bench.start(dev_control_key=None if key is None else key.public_key)
    (checked,) = program.check((raw,))
    assert (checked.module, checked.code) == ("core", 1)
    bench.run(program)
    before = account(program, bench.chain.head.round).balance
    assert before > 0
    executed = program.execute(bench.chain.head.round + 1, (raw,))
    assert executed.included == ()
    program.advance(encode_record(bench.finalize(executed)))
    assert account(program, bench.chain.head.round).balance == before


def test_what_was_used_is_not_used_again(bench):
    program = bench.start(dev_control_key=OWNER.public_key)
    bench.run(program, edit(OWNER))
    (checked,) = program.check((edit(OWNER),))
    assert (checked.module, checked.code) == ("core", 4)
    executed = program.execute(bench.chain.head.round + 1, (edit(OWNER),))
    assert executed.included == ()
