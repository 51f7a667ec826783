"""
Questions of the network's owner under a host that lies: nobody else is answered, or learns of it.

The host has every message, may put any of them again, and chooses the round on which it is put.
"""

import json
import os
from dataclasses import dataclass, replace

import pytest
from evm_native import x25519_public

from qanat.view.envelopes import EpochKey, NotSealedToUs
from qanat.view.sight import (
    Place,
    SealedQuestion,
    open_owner_answer,
    seal_question,
    sign_question,
)
from runtimes.evm.sight import NO_SIGHT_CODE
from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.errors import QanatError, RuntimeRejected
from shared.types.evm import EvmCall, EvmQuery, StorageQuery, TraceQuery
from shared.types.sight import VIEW_REQUEST, Question, SealedView, SignedQuestion
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench, first_changes, register_program
from tests.support.evm_state import created_by
from tests.support.lying_host import LyingHost, flipped

DEBUG = Signer(b"\x0d" * 32)
STRANGER = Signer(b"\x0e" * 32)
# Keeps the first word in slot 0, and returns what it was given.
ECHO = bytes.fromhex("5f355f55365f5f37365ff3")
ECHO_INIT = bytes.fromhex("600b600c600039600b6000f3") + ECHO
# Reverts with what slot 0 holds.
TELLTALE = bytes.fromhex("5f545f5260205ffd")
KEPT = b"only the owner reads this slot.."
FAR = 2**40
SLOT = bytes(32)


@dataclass
class Scene:
    """A contract that keeps a secret, and an enclave between a host that lies and its owner."""

    bench: Bench
    host: LyingHost
    round: int
    """The newest."""
    echo: bytes

    @property
    def place(self) -> Place:
        program = self.host.program
        return Place(program.chain_context, program.config.runtime_id, program.latest.incarnation)

    @property
    def key(self) -> EpochKey:
        key = self.host.program.fetch_call_data_key()
        return EpochKey(key.epoch, key.public_key.key)

    def asked(self, method: str, arguments: bytes, *, expires_s: int = FAR) -> SealedQuestion:
        return seal_question(Question(method, arguments), self.round, expires_s, self.key)

    def slot(self) -> SealedQuestion:
        return self.asked(EvmQuery.STORAGE, encode_record(StorageQuery(self.echo, SLOT)))

    def signed(self, asked: SealedQuestion, signer=DEBUG, place=None) -> SignedQuestion:
        signature = sign_question(asked.question, signer, place or self.place)
        return SignedQuestion(asked.question, signature)

    def put(self, signed: SignedQuestion, round_: int | None = None) -> SealedView:
        at = self.round if round_ is None else round_
        answer = self.host.ask("query", EvmQuery.ASK_AS_OWNER, encode_record(signed), at)
        return decode_record(SealedView, answer)

    def answer(self, asked: SealedQuestion) -> bytes:
        return open_owner_answer(self.put(self.signed(asked)), asked, self.key)


def make_scene(tmp_path, debug_key: bytes | None) -> Scene:
    bench = Bench()
    honest = bench.start("honest")
    changes = first_changes(bench.chain)
    made = bench.run(honest, raw(0, to=b"", data=ECHO_INIT, value=0, gas=1_000_000))
    echo = created_by(RICH, 0)
    kept = bench.run(honest, raw(1, to=echo, value=0, data=KEPT))
    host = LyingHost(
        ComputeEnclaveApi, lambda: bench.program("a", tmp_path, debug_key=debug_key), tmp_path
    )
    host.ask("initialize", bench.chain.prove(bench.keys))
    register_program(bench.chain, "a", host.program)
    host.ask("initialize", bench.chain.prove(bench.keys))
    host.ask("apply", (*changes, made, kept))
    return Scene(bench, host, kept.block.header.round, echo)


@pytest.fixture
def scene(tmp_path):
    return make_scene(tmp_path, DEBUG.public_key)


def refusal(scene: Scene, signed: SignedQuestion, round_: int | None = None) -> tuple[str, int]:
    with pytest.raises(QanatError) as refused:
        scene.put(signed, round_)
    return refused.value.module, refused.value.code


def failure(scene: Scene, asked: SealedQuestion) -> QanatError:
    """Give what is told under seal in the place of an answer."""
    sealed = scene.put(scene.signed(asked))
    with pytest.raises(QanatError) as failed:
        open_owner_answer(sealed, asked, scene.key)
    assert failed.value.message.encode() not in encode_record(sealed)
    return failed.value


def shown_call(to: bytes, *, code: bytes | None = None, data: bytes = b"") -> bytes:
    call = {"from": "0x" + RICH.hex(), "to": "0x" + to.hex(), "data": "0x" + data.hex()}
    state = {} if code is None else {"0x" + to.hex(): {"code": "0x" + code.hex()}}
    block = {"calls": [call], "state": state}
    return json.dumps({"style": {"geth": {"tracer": "prestateTracer"}}, "blocks": [block]}).encode()


# -- what the owner sees -----------------------------------------------------------------------


def test_the_owner_reads_a_slot_that_everybody_sees_as_zero(scene):
    query = encode_record(StorageQuery(scene.echo, SLOT))
    assert not any(scene.host.ask("query", EvmQuery.STORAGE, query, scene.round))
    assert scene.answer(scene.slot()) == KEPT
    # What holds nothing, among it what runs in the place of any code.
    for address in (RICH, (2).to_bytes(20, "big"), (4).to_bytes(20, "big")):
        nothing = encode_record(StorageQuery(address, SLOT))
        assert scene.answer(scene.asked(EvmQuery.STORAGE, nothing)) == bytes(32)


def test_the_owner_simulates_and_traces_what_never_was(scene):
    (block,) = json.loads(scene.answer(scene.asked(EvmQuery.SIMULATE, shown_call(scene.echo))))
    (outcome,) = block["calls"]
    assert outcome["trace"]["0x" + scene.echo.hex()]["storage"]["0x" + SLOT.hex()] == (
        "0x" + KEPT.hex()
    )
    # The state itself is as it was.
    assert scene.answer(scene.slot()) == KEPT
    signed = raw(2, to=scene.echo, value=0, data=b"\x05" * 32)
    query = TraceQuery((signed,), bytes(32), 0, b'"frames"')
    assert ("05" * 32).encode() in scene.answer(scene.asked(EvmQuery.TRACE, encode_record(query)))


def test_the_owner_calls_as_anybody_with_code_of_his_own(scene):
    caller = bytes.fromhex("335f5260205ff3")  # returns its caller
    pretence = json.dumps(
        {"state": {"0x" + scene.echo.hex(): {"code": "0x" + caller.hex()}}}
    ).encode()
    call = EvmCall(b"\x77" * 20, scene.echo, 100_000, 1, 0, b"", pretence)
    assert scene.answer(scene.asked(EvmQuery.CALL, encode_record(call)))[12:] == b"\x77" * 20
    estimated = scene.answer(scene.asked(EvmQuery.ESTIMATE_GAS_AS_SENDER, encode_record(call)))
    assert estimated


def test_a_revert_is_told_under_seal(scene):
    pretence = json.dumps(
        {"state": {"0x" + scene.echo.hex(): {"code": "0x" + TELLTALE.hex()}}}
    ).encode()
    call = EvmCall(RICH, scene.echo, 100_000, 1, 0, b"", pretence)
    asked = scene.asked(EvmQuery.CALL, encode_record(call))
    assert KEPT not in encode_record(scene.put(scene.signed(asked)))
    error = failure(scene, asked)
    assert (error.module, error.code, error.data) == ("evm", 8, KEPT)


def test_what_cannot_be_asked_or_read_is_told_under_seal(scene):
    for method in (EvmQuery.VIEW, EvmQuery.ASK_AS_OWNER, EvmQuery.STATE, "evm.Account", ""):
        assert failure(scene, scene.asked(method, b"")).code == 8
    assert failure(scene, scene.asked(EvmQuery.STORAGE, b"\xff")).module == "encoding"
    unreadable = failure(scene, scene.asked(EvmQuery.SIMULATE, b'{"blocks":'))
    assert (unreadable.module, unreadable.code) == ("trace", 2)


# -- who does not ------------------------------------------------------------------------------


def test_nothing_stands_in_plain_and_the_same_question_has_the_same_answer(scene):
    asked = scene.slot()
    signed = scene.signed(asked)
    answer = scene.put(signed)
    for carried in (encode_record(signed), encode_record(answer)):
        for plain in (KEPT, scene.echo, EvmQuery.STORAGE.encode()):
            assert plain not in carried
            assert plain.hex().encode() not in carried
    assert scene.put(signed) == answer


def test_a_host_that_puts_a_question_again_cannot_open_the_answer(scene):
    seen = scene.signed(scene.slot())
    answer = scene.put(seen)
    with pytest.raises(NotSealedToUs):
        open_owner_answer(answer, SealedQuestion(seen.question, os.urandom(32)), scene.key)
    own = replace(seen.question, asker=x25519_public(os.urandom(32)))
    assert refusal(scene, replace(seen, question=own)) == ("sight", 5)


@pytest.mark.parametrize("field", ["asker", "expires_s", "round", "epoch", "nonce", "data"])
def test_nothing_of_a_question_can_be_changed(scene, field):
    signed, other = scene.signed(scene.slot()), scene.slot().question
    changed = {"expires_s": FAR + 1, "round": scene.round - 1, "epoch": other.epoch + 1}
    value = changed.get(field, getattr(other, field))
    question = replace(signed.question, **{field: value})
    at = question.round
    assert refusal(scene, replace(signed, question=question), at) == ("sight", 5)


def test_strangers_are_refused_whatever_they_sign(scene):
    asked = scene.slot()
    assert refusal(scene, scene.signed(asked, STRANGER)) == ("sight", 5)
    for place in (
        replace(scene.place, chain_context="0" * 64),
        replace(scene.place, runtime_id=bytes(32)),
        replace(scene.place, incarnation=scene.place.incarnation + 1),
    ):
        assert refusal(scene, scene.signed(asked, DEBUG, place)) == ("sight", 5)
    for signature in (bytes(64), os.urandom(64)):
        assert refusal(scene, SignedQuestion(asked.question, signature)) == ("sight", 5)


def test_a_signature_for_a_view_is_none_for_a_question(scene):
    asked = scene.slot()
    place = scene.place
    domain = VIEW_REQUEST.for_runtime(place.chain_context, place.runtime_id, place.incarnation)
    signature = DEBUG.sign(domain, encode_record(asked.question))
    assert refusal(scene, SignedQuestion(asked.question, signature)) == ("sight", 5)


def test_a_network_without_a_debug_key_obeys_none(tmp_path):
    scene = make_scene(tmp_path, None)
    assert refusal(scene, scene.signed(scene.slot())) == ("sight", 5)


def test_a_question_is_answered_on_its_round_and_until_its_time(scene):
    signed = scene.signed(scene.slot())
    assert refusal(scene, signed, scene.round - 1) == ("sight", 3)
    now = scene.host.program.now_s
    arguments = encode_record(StorageQuery(scene.echo, SLOT))
    on_time = scene.asked(EvmQuery.STORAGE, arguments, expires_s=now)
    assert scene.answer(on_time) == KEPT
    late = scene.asked(EvmQuery.STORAGE, arguments, expires_s=now - 1)
    assert refusal(scene, scene.signed(late)) == ("sight", 2)
    # On the state before, the slot holds nothing yet.
    before = replace(scene, round=scene.round - 1)
    assert before.answer(before.slot()) == bytes(32)


def test_what_is_not_sealed_to_the_enclave_is_refused(scene):
    key = scene.key
    for wrong in (
        EpochKey(key.epoch, x25519_public(os.urandom(32))),
        EpochKey(key.epoch + 1, key.key),
        EpochKey(key.epoch + 1000, key.key),
    ):
        question = Question(EvmQuery.STORAGE, encode_record(StorageQuery(scene.echo, SLOT)))
        asked = seal_question(question, scene.round, FAR, wrong)
        assert refusal(scene, scene.signed(asked)) == ("sight", 7)


def test_an_altered_answer_does_not_open(scene):
    asked = scene.slot()
    answer = scene.put(scene.signed(asked))
    for changed in (
        replace(answer, data=flipped(answer.data, 0)),
        replace(answer, data=answer.data[:-1]),
        replace(answer, nonce=flipped(answer.nonce)),
        replace(answer, epoch=answer.epoch + 1),
        # The question itself, sealed by the same key, is no answer.
        replace(answer, nonce=asked.question.nonce, data=asked.question.data),
    ):
        with pytest.raises(NotSealedToUs):
            open_owner_answer(changed, asked, scene.key)
    # Nor is what the enclave says to another question of the same asker.
    other = SealedQuestion(replace(asked.question, expires_s=FAR + 1), asked.secret)
    with pytest.raises(NotSealedToUs):
        open_owner_answer(scene.put(scene.signed(other)), asked, scene.key)


def test_unsigned_questions_stay_refused(scene):
    for method, arguments in (
        (EvmQuery.SIMULATE, shown_call(scene.echo)),
        (EvmQuery.TRACE, b""),
        (EvmQuery.STATE, b""),
        (
            EvmQuery.CALL,
            encode_record(EvmCall(RICH, scene.echo, 100_000, 1, 0, b"", b'{"state":{}}')),
        ),
    ):
        with pytest.raises(RuntimeRejected) as refused:
            scene.host.ask("query", method, arguments, scene.round)
        assert (refused.value.module, refused.value.code) == ("trace", NO_SIGHT_CODE)
