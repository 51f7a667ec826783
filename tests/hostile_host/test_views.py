"""
View requests under a host that lies: who may see a transaction, and that nobody else learns of it.

The host has every message, may put any of them again, and chooses the round, the batch, its results
and the epoch that go with a request.
"""

import json
import os
from dataclasses import dataclass, replace

import pytest
from eth_account import Account
from evm_native import deoxysii_seal, mrae_key, x25519_public

from qanat.view.envelopes import EpochKey, NotSealedToUs
from qanat.view.sight import Asked, Place, ask, open_view, sign_as_owner, sign_as_sender
from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.crypto.hashes import keccak256
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.errors import QanatError, RuntimeRejected
from shared.types.block import RoundChange
from shared.types.evm import EvmQuery
from shared.types.sight import SealedView, ViewQuery
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench, first_changes, register_program
from tests.support.evm_state import created_by
from tests.support.fake_compute import CHAIN_ID
from tests.support.lying_host import LyingHost, flipped
from tests.support.signing import ACCOUNT

DEBUG = Signer(b"\x0d" * 32)
STRANGER = Signer(b"\x0e" * 32)
THIEF = Account.from_key(b"\x31" * 32)
# Keeps the first word in slot 0, and returns what it was given.
ECHO = bytes.fromhex("5f355f55365f5f37365ff3")
ECHO_INIT = bytes.fromhex("600b600c600039600b6000f3") + ECHO
# Asks the precompile of randomness for 32 bytes, and returns them.
CHANCE = bytes.fromhex(
    "60205f526040602052602060606060" + "5f73" + "01" + "00" * 18 + "01" + "5afa50" + "60206060f3"
)
CHANCE_INIT = bytes.fromhex(f"60{len(CHANCE):02x}600c60003960{len(CHANCE):02x}6000f3") + CHANCE
CANARY = b"nobody but the owner sees this..".ljust(64, b"!")
FAR = 2**40
DIFF = b'{"geth":{"tracer":"prestateTracer","tracerConfig":{"diffMode":true}}}'


def sealed(plaintext: bytes, key, secret: bytes) -> bytes:
    """Calldata in an envelope of a client that keeps its secret."""
    nonce = os.urandom(15)
    inner = deoxysii_seal(
        mrae_key(secret, key.public_key.key), nonce, cbor.encode({"body": plaintext})
    )
    body = {"pk": x25519_public(secret), "nonce": nonce, "epoch": key.epoch, "data": inner}
    return cbor.encode({"format": 1, "body": body})


@dataclass
class Scene:
    """A round with a secret in its calldata, and the thief's copy of the same envelope."""

    bench: Bench
    host: LyingHost
    change: RoundChange
    """The round: 0 sends a secret, 1 is the thief's copy, 2 sends the same in plain."""
    others: RoundChange
    """The round before, with its transactions."""
    envelope_secret: bytes

    @property
    def round(self) -> int:
        return self.change.block.header.round

    @property
    def place(self) -> Place:
        program = self.host.program
        return Place(program.chain_context, program.config.runtime_id, program.latest.incarnation)

    def asked(self, position: int = 0, **options) -> Asked:
        transaction = keccak256(self.change.block.transactions[position])
        return ask(transaction, options.pop("expires_s", FAR), **options)

    def query(self, asked: Asked, signature: bytes, **changes) -> ViewQuery:
        block = self.change.block
        query = ViewQuery(asked.request, signature, block.transactions, block.results)
        return replace(query, **changes)

    def put(self, query: ViewQuery, round_: int | None = None) -> SealedView:
        before = self.round - 1 if round_ is None else round_
        answer = self.host.ask("query", EvmQuery.VIEW, encode_record(query), before)
        return decode_record(SealedView, answer)

    def open(self, answer: SealedView, asked: Asked) -> dict:
        key = self.host.program.fetch_call_data_key()
        view = open_view(answer, asked, EpochKey(key.epoch, key.public_key.key))
        assert view.round == self.round
        return json.loads(view.trace)

    def by_owner(self, asked: Asked) -> ViewQuery:
        return self.query(asked, sign_as_owner(asked.request, DEBUG, self.place))

    def by_sender(self, asked: Asked, key=ACCOUNT.key) -> ViewQuery:
        return self.query(asked, sign_as_sender(asked.request, bytes(key), CHAIN_ID))


def make_scene(tmp_path, debug_key: bytes | None) -> Scene:
    bench = Bench()
    honest = bench.start("honest")
    changes = first_changes(bench.chain)
    others = bench.run(
        honest,
        raw(0, to=THIEF.address, value=10**18),
        raw(1, to=b"", data=ECHO_INIT, value=0, gas=1_000_000),
    )
    echo, secret = created_by(RICH, 1), os.urandom(32)
    envelope = sealed(CANARY, honest.fetch_call_data_key(), secret)
    change = bench.run(
        honest,
        raw(2, to=echo, value=0, data=envelope),
        raw(0, to=echo, value=0, data=envelope, key=THIEF.key),
        raw(3, to=echo, value=0, data=CANARY),
    )
    assert len(change.block.results) == 3
    host = LyingHost(
        ComputeEnclaveApi, lambda: bench.program("a", tmp_path, debug_key=debug_key), tmp_path
    )
    host.ask("initialize", bench.chain.prove(bench.keys))
    register_program(bench.chain, "a", host.program)
    host.ask("initialize", bench.chain.prove(bench.keys))
    host.ask("apply", (*changes, others, change))
    return Scene(bench, host, change, others, secret)


@pytest.fixture
def scene(tmp_path):
    return make_scene(tmp_path, DEBUG.public_key)


def refusal(scene: Scene, query: ViewQuery, round_: int | None = None) -> tuple[str, int]:
    with pytest.raises(QanatError) as refused:
        scene.put(query, round_)
    return refused.value.module, refused.value.code


def test_the_debug_key_sees_calldata_result_and_state(scene):
    asked = scene.asked()
    trace = scene.open(scene.put(scene.by_owner(asked)), asked)
    assert (trace["from"], trace["input"]) == ("0x" + RICH.hex(), "0x" + CANARY.hex())
    assert trace["output"] == "0x" + CANARY.hex()
    asked = scene.asked(style=DIFF)
    changes = scene.open(scene.put(scene.by_owner(asked)), asked)
    assert "0x" + CANARY[:32].hex() in json.dumps(changes["post"])


def test_an_answer_holds_nothing_in_plain_and_is_the_same_when_put_again(scene):
    query = scene.by_owner(scene.asked())
    answer = encode_record(scene.put(query))
    assert CANARY not in answer
    assert CANARY.hex().encode() not in answer
    assert encode_record(scene.put(query)) == answer


def test_a_host_that_puts_a_request_again_cannot_open_the_answer(scene):
    seen = scene.by_owner(scene.asked())
    answer = scene.put(seen)
    with pytest.raises(NotSealedToUs):
        scene.open(answer, replace(scene.asked(), request=seen.request))
    # With the host's own key in its place the signature is no good.
    own = scene.asked()
    assert refusal(scene, replace(seen, request=own.request)) == ("sight", 5)


@pytest.mark.parametrize("field", ["transaction", "asker", "style", "expires_s"])
def test_nothing_of_a_request_can_be_changed(scene, field):
    query = scene.by_owner(scene.asked())
    changed = {
        "transaction": keccak256(scene.change.block.transactions[1]),
        "asker": scene.asked().request.asker,
        "style": DIFF,
        "expires_s": FAR + 1,
    }[field]
    request = replace(query.request, **{field: changed})
    assert refusal(scene, replace(query, request=request)) == ("sight", 5)


def test_strangers_are_refused(scene):
    asked = scene.asked()
    by_stranger = scene.query(asked, sign_as_owner(asked.request, STRANGER, scene.place))
    assert refusal(scene, by_stranger) == ("sight", 5)
    elsewhere = (
        replace(scene.place, chain_context="0" * 64),
        replace(scene.place, runtime_id=bytes(32)),
        replace(scene.place, incarnation=scene.place.incarnation + 1),
    )
    for place in elsewhere:
        signature = sign_as_owner(asked.request, DEBUG, place)
        assert refusal(scene, scene.query(asked, signature)) == ("sight", 5)
    for signature in (b"", bytes(64), bytes(65), os.urandom(64), os.urandom(65), bytes(66)):
        assert refusal(scene, scene.query(asked, signature)) == ("sight", 5)


def test_a_network_without_a_debug_key_obeys_none(tmp_path):
    scene = make_scene(tmp_path, None)
    assert refusal(scene, scene.by_owner(scene.asked())) == ("sight", 5)
    asked = scene.asked(secret=scene.envelope_secret)
    assert scene.open(scene.put(scene.by_sender(asked)), asked)["input"] == "0x" + CANARY.hex()


def test_an_expired_request_is_refused_by_consensus_time(scene):
    now = scene.host.program.now_s
    assert scene.put(scene.by_owner(scene.asked(expires_s=now)))
    assert refusal(scene, scene.by_owner(scene.asked(expires_s=now - 1))) == ("sight", 2)


def test_a_sender_with_the_key_of_his_envelope_sees_his_own_call_only(scene):
    asked = scene.asked(secret=scene.envelope_secret)
    trace = scene.open(scene.put(scene.by_sender(asked)), asked)
    assert (trace["input"], trace["output"]) == ("0x" + CANARY.hex(),) * 2
    assert "calls" not in trace
    styled = scene.asked(secret=scene.envelope_secret, style=DIFF)
    assert refusal(scene, scene.by_sender(styled)) == ("sight", 5)


def test_who_sends_an_envelope_of_somebody_else_as_his_own_does_not_see_into_it(scene):
    # The thief is the sender of transaction 1; the envelope in it is not his.
    assert refusal(scene, scene.by_sender(scene.asked(1), THIEF.key)) == ("sight", 5)
    # With its author's key in the request he gets an answer that only the author opens.
    public = replace(scene.asked(1).request, asker=x25519_public(scene.envelope_secret))
    copied = Asked(public, os.urandom(32))
    answer = scene.put(scene.by_sender(copied, THIEF.key))
    with pytest.raises(NotSealedToUs):
        scene.open(answer, copied)


def test_other_senders_are_refused_and_plain_calls_need_no_key_of_an_envelope(scene):
    asked = scene.asked(2)
    assert scene.open(scene.put(scene.by_sender(asked)), asked)["output"] == "0x" + CANARY.hex()
    assert refusal(scene, scene.by_sender(asked, THIEF.key)) == ("sight", 5)
    foreign = scene.asked(1, secret=scene.envelope_secret)
    assert refusal(scene, scene.by_sender(foreign)) == ("sight", 5)


def test_a_host_chooses_neither_round_nor_batch_nor_results(scene):
    query, block = scene.by_owner(scene.asked()), scene.change.block
    for round_ in range(scene.round - 1):
        assert refusal(scene, query, round_)[0] in ("sight", "compute", "enclave", "state")
    with pytest.raises(QanatError):
        scene.put(query, scene.round)
    others = scene.others.block
    forged = (
        {"transactions": block.transactions[::-1]},
        {"transactions": block.transactions[:1], "results": block.results[:1]},
        {"transactions": (), "results": ()},
        {"results": block.results[::-1]},
        {"results": (flipped(block.results[0]), *block.results[1:])},
        {"transactions": block.transactions * 2, "results": block.results * 2},
        {"transactions": others.transactions, "results": others.results},
    )
    for changes in forged:
        assert refusal(scene, replace(query, **changes)) == ("sight", 3)
    # A true round, in which the transaction is not.
    there = replace(query, transactions=others.transactions, results=others.results)
    assert refusal(scene, there, scene.round - 2) == ("sight", 4)


def test_a_host_that_names_another_epoch_gets_no_other_outcome(scene):
    query = scene.by_owner(scene.asked())
    now = scene.host.program.fetch_call_data_key().epoch
    assert scene.put(replace(query, epoch=now)) == scene.put(query)
    for epoch in (now + 1, now + 1000, 2**64 - 1):
        assert refusal(scene, replace(query, epoch=epoch)) == ("sight", 3)
    with pytest.raises(QanatError):
        scene.put(replace(query, epoch=0))


def test_a_round_of_an_earlier_epoch_is_seen_with_the_keys_that_it_had(tmp_path):
    bench = Bench()
    program = bench.program("a", tmp_path, debug_key=DEBUG.public_key)
    bench.show_chain(program)
    bench.join("a", program)
    bench.run(program, raw(0, to=b"", data=CHANCE_INIT, value=0, gas=1_000_000))
    chance = created_by(RICH, 0)
    ran = program.fetch_call_data_key().epoch
    change = bench.run(program, raw(1, to=chance, value=0, data=bytes(64)))
    bench.chain.begin_epoch()
    program.initialize(bench.chain.prove(bench.keys))
    assert program.fetch_call_data_key().epoch == ran + 1
    host = LyingHost(ComputeEnclaveApi, lambda: program, tmp_path)
    scene = Scene(bench, host, change, change, b"")
    asked = scene.asked()
    query = scene.by_owner(asked)
    seen = scene.open(scene.put(replace(query, epoch=ran)), asked)
    (result,) = (cbor.decode_loosely(one) for one in change.block.results)
    assert seen["output"] == "0x" + result["output"].hex()
    assert len(result["output"]) == 32
    assert any(result["output"])
    # With the keys of now the contract draws something else, which is not what happened.
    assert refusal(scene, query) == ("sight", 6)


def test_an_altered_answer_does_not_open(scene):
    asked = scene.asked()
    answer = scene.put(scene.by_owner(asked))
    for changed in (
        replace(answer, data=flipped(answer.data, 0)),
        replace(answer, data=flipped(answer.data)),
        replace(answer, data=answer.data[:-1]),
        replace(answer, nonce=flipped(answer.nonce)),
        replace(answer, epoch=answer.epoch + 1),
    ):
        with pytest.raises(NotSealedToUs):
            scene.open(changed, asked)
    # Nor does the answer to another request of the same asker.
    other = Asked(replace(asked.request, style=DIFF), asked.secret)
    with pytest.raises(NotSealedToUs):
        scene.open(scene.put(scene.by_owner(other)), asked)


def test_unsigned_traces_stay_refused(scene):
    with pytest.raises(RuntimeRejected) as refused:
        scene.host.ask("query", EvmQuery.TRACE, b"", scene.round - 1)
    assert (refused.value.module, refused.value.code) == ("trace", 1)
