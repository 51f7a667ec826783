"""
What confidentiality does not cover, as upstream: an envelope is bound to no sender and no contract.

Whoever sees an encrypted transaction can send its calldata once more as his own. The contract then
runs on the plaintext of the first sender with the second one as the sender. These tests show the
leak, so that nobody takes it for closed; a contract closes it by binding the plaintext to its
sender (a signature, or the sender's address in what is encrypted).
"""

import os

import pytest
from eth_account import Account
from evm_native import deoxysii_seal, mrae_key, x25519_public

from shared.encoding import cbor
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench
from tests.support.evm_state import created_by

DIARY = bytes.fromhex("36600f57335460005260206000a0005b600035335500")
"""Keeps one word for each sender; a call without data logs the sender's own word."""
DIARY_INIT = bytes.fromhex("6016600c60003960166000f3") + DIARY
SECRET = b"the first sender's secret".ljust(32)
THIEF = Account.from_key(b"\x31" * 32)


def sealed(plaintext: bytes, key) -> bytes:
    """Calldata in an envelope, as Sapphire clients make it."""
    secret, nonce = os.urandom(32), os.urandom(15)
    inner = deoxysii_seal(
        mrae_key(secret, key.public_key.key), nonce, cbor.encode({"body": plaintext})
    )
    body = {"pk": x25519_public(secret), "nonce": nonce, "epoch": key.epoch, "data": inner}
    return cbor.encode({"format": 1, "body": body})


@pytest.fixture
def bench():
    return Bench()


def logged(change) -> list[bytes]:
    """Data of the logs of a round, which anybody reads."""
    return [
        data
        for result in change.block.results
        for _address, _topics, data in cbor.decode_loosely(result)["logs"]
    ]


def test_an_envelope_that_somebody_else_sends_again_runs_as_his_and_tells_him(bench):
    program = bench.start("a")
    diary = created_by(RICH, 1)
    envelope = sealed(SECRET, program.fetch_call_data_key())
    bench.run(
        program,
        raw(0, to=THIEF.address, value=10**18),
        raw(1, to=b"", data=DIARY_INIT, value=0, gas=1_000_000),
    )
    bench.run(program, raw(2, to=diary, value=0, data=envelope))
    # The thief saw the transaction in the pool or in a block: the envelope is all he needs.
    stolen = raw(0, to=diary, value=0, data=envelope, key=THIEF.key)
    asked = raw(1, to=diary, value=0, key=THIEF.key)
    change = bench.run(program, stolen, asked)
    assert len(change.block.transactions) == 2
    assert logged(change) == [SECRET]


def test_what_the_first_sender_wrote_is_not_told_to_others(bench):
    program = bench.start("a")
    diary = created_by(RICH, 1)
    envelope = sealed(SECRET, program.fetch_call_data_key())
    bench.run(
        program,
        raw(0, to=THIEF.address, value=10**18),
        raw(1, to=b"", data=DIARY_INIT, value=0, gas=1_000_000),
    )
    bench.run(program, raw(2, to=diary, value=0, data=envelope))
    change = bench.run(program, raw(0, to=diary, value=0, key=THIEF.key))
    assert logged(change) == [bytes(32)]
    assert all(SECRET not in result for result in change.block.results)


def test_a_host_reads_the_logs_of_a_batch_that_never_becomes_final(bench):
    """As upstream: a host may have any batch executed, and sees what it would have told."""
    program = bench.start("a")
    bench.run(program, raw(0, to=b"", data=DIARY_INIT, value=0, gas=1_000_000))
    diary = created_by(RICH, 0)
    written = raw(1, to=diary, value=0, data=sealed(SECRET, program.fetch_call_data_key()))
    tried = program.execute(3, (written, raw(2, to=diary, value=0)))
    assert SECRET in tried.results[1]
    assert bench.chain.head.round == 2
    # What is signed last is what may become final; the tentative round leaves no trace.
    change = bench.run(program)
    assert change.block.transactions == ()
