"""Envelopes and signed queries, against vectors and oasis-sapphire-py."""

import json
from pathlib import Path

import pytest
from evm_native import deoxysii_seal, mrae_key, recover_signer, x25519_public
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey
from sapphirepy.envelope import TransactionCipher

from qanat.view import envelopes
from qanat.view.envelopes import (
    EpochKey,
    Leash,
    NotSealedToUs,
    Query,
    is_sealed,
    open_answer,
    pack_query,
    query_digest,
    seal,
)
from shared.encoding import cbor

VECTORS = Path(__file__).resolve().parents[3] / "vectors"
ENVELOPE = json.loads((VECTORS / "envelope.json").read_text())
QUERIES = json.loads((VECTORS / "signed-query.json").read_text())["queries"]
SECRET = bytes.fromhex(ENVELOPE["runtime_secret"])
KEY = EpochKey(42, x25519_public(SECRET))


def unhex(name):
    return bytes.fromhex(ENVELOPE[name])


def test_envelope_is_that_of_the_official_clients_byte_for_byte(monkeypatch):
    drawn = [unhex("client_secret"), unhex("nonce")]
    monkeypatch.setattr(envelopes.secrets, "token_bytes", lambda size: drawn.pop(0)[:size])
    sealed = seal(unhex("calldata"), EpochKey(ENVELOPE["epoch"], unhex("runtime_public")))
    assert sealed.data == unhex("envelope")
    assert open_answer(unhex("ok"), sealed.key) == unhex("output")


@given(st.binary(max_size=400), st.integers(0, 2**64 - 1))
def test_what_is_sealed_opens_for_the_runtime_alone_and_each_time_anew(calldata, epoch):
    to = EpochKey(epoch, KEY.key)
    first, second = seal(calldata, to), seal(calldata, to)
    assert first.data != second.data
    assert is_sealed(first.data)
    body = cbor.decode(first.data)["body"]
    # The runtime's side, by oasis-sapphire-py's own cipher.
    cipher = TransactionCipher(PrivateKey(SECRET).public_key, epoch)
    cipher.cipher = type(cipher.cipher)(mrae_key(SECRET, body["pk"]))
    opened = bytearray(len(body["data"]) - 16)
    assert cipher.cipher.decrypt(body["nonce"], opened, None, bytes(body["data"]))
    assert cbor.decode(bytes(opened)) == {"body": calldata}
    assert body["epoch"] == epoch


@given(st.binary(max_size=200))
def test_answers_open_with_the_key_of_their_question_only(output):
    sealed, other = seal(b"question", KEY), seal(b"question", KEY)
    data = deoxysii_seal(sealed.key, bytes(15), cbor.encode({"ok": output}))
    answer = cbor.encode({"ok": {"data": data, "nonce": bytes(15)}})
    assert open_answer(answer, sealed.key) == output
    with pytest.raises(NotSealedToUs):
        open_answer(answer, other.key)


@given(st.binary(max_size=120))
def test_answer_that_is_not_sealed_is_not_believed(untrusted):
    with pytest.raises(NotSealedToUs):
        open_answer(untrusted, seal(b"", KEY).key)


def test_calldata_counts_as_sealed_only_if_it_is():
    sealed = seal(b"hidden", KEY)
    assert is_sealed(sealed.data)
    for plain in (
        b"",
        b"\xf6",
        bytes.fromhex("cfae3217"),
        cbor.encode({"body": b"plain"}),
        cbor.encode({"body": b"plain", "format": 0}),
        cbor.encode({"body": b"plain", "format": 1}),
        cbor.encode({"data": {"body": b"plain"}, "leash": {}, "signature": bytes(65)}),
        sealed.data + b"\0",
    ):
        assert not is_sealed(plain), plain.hex()


@pytest.mark.parametrize("vector", QUERIES, ids=["rust", "go"])
def test_digest_of_a_signed_query_is_that_of_the_oasis_sdk(vector):
    query, leash = read_query(vector)
    if vector["from"] is not None:
        assert query_digest(query, leash).hex() == vector["digest"]
    signer = recover_signer(
        bytes.fromhex(vector["digest"]), lower_v(bytes.fromhex(vector["signature"]))
    )
    assert signer.hex() == vector["signer"]


def test_pack_is_that_of_the_oasis_sdk():
    query, leash = read_query(QUERIES[0])
    plain = envelopes.Sealed({"body": query.data}, b"")
    packed = cbor.decode(pack_query(query, leash, plain, b"\1" * 32))
    known = cbor.decode(bytes.fromhex(QUERIES[0]["pack"]))
    assert packed | {"signature": b""} == known | {"signature": b""}
    assert packed["signature"][64] in (27, 28)
    again = known | {"signature": packed["signature"]}
    assert pack_query(query, leash, plain, b"\1" * 32) == cbor.encode(again)


def test_nothing_secret_is_shown():
    assert seal(b"hidden", KEY).key.hex() not in repr(seal(b"hidden", KEY))
    sealed = seal(b"hidden", KEY)
    assert repr(sealed.key) not in repr(sealed)


def read_query(vector):
    leash = vector["leash"]
    return Query(
        chain_id=vector["chain_id"],
        caller=bytes.fromhex(vector["from"] or "00" * 20),
        to=bytes.fromhex(vector["to"]),
        gas=vector["gas_limit"],
        gas_price=vector["gas_price"],
        value=vector["value"],
        data=bytes.fromhex(vector["data"]),
    ), Leash(
        leash["nonce"],
        leash["block_number"],
        bytes.fromhex(leash["block_hash"]),
        leash["block_range"],
    )


def lower_v(signature):
    return signature[:64] + bytes([signature[64] - 27])
