"""Others agree: the byte-exact vectors of `aci/1`."""

import json
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from apps.inference.documents.canonical import canonical, digest, read_document
from apps.inference.documents.keyset import keyset_digest, read_keyset, report_data
from apps.inference.documents.receipt import signed_bytes, verify_signature
from apps.inference.e2ee.fields import request_aad, response_aad
from apps.inference.e2ee.suites import X25519, X25519Key
from apps.inference.errors import BadReceiptSignature
from shared.crypto.hashes import sha256

VECTORS = json.loads((Path(__file__).parent / "aci.json").read_text())


def test_keyset_and_its_digest() -> None:
    document = read_document(VECTORS["keyset"].encode())
    assert canonical(document).decode() == VECTORS["keyset"]
    assert keyset_digest(document) == VECTORS["keyset_digest"]
    assert canonical(read_keyset(document).document()).decode() == VECTORS["keyset"]


def test_report_data_with_and_without_a_nonce() -> None:
    named = VECTORS["keyset_digest"]
    assert report_data(named, VECTORS["nonce"]).hex() == VECTORS["report_data"]
    assert report_data(named, None).hex() == VECTORS["report_data_without_nonce"]


def test_hashes_of_bodies() -> None:
    assert digest(VECTORS["request"].encode()) == VECTORS["request_hash"]
    assert digest(VECTORS["response"].encode()) == VECTORS["response_hash"]


def test_receipt_and_its_signature() -> None:
    document = read_document(VECTORS["receipt"].encode())
    signed = signed_bytes(document)
    assert sha256(signed).hex() == VECTORS["signing_input_sha256"]
    key = SigningKey(bytes.fromhex(VECTORS["receipt_seed"]))
    assert key.sign(signed).signature.hex() == document["signature"]
    signature, public = bytes.fromhex(document["signature"]), bytes(key.verify_key)
    verify_signature(document, signature, public)
    with pytest.raises(BadReceiptSignature):
        verify_signature(document | {"served_at": 1}, signature, public)


def test_associated_data_of_encrypted_fields() -> None:
    assert (
        X25519Key(bytes.fromhex(VECTORS["e2ee_seed"])).public.hex() == (VECTORS["e2ee_public_key"])
    )
    about = {"algo": X25519, "model": "demo-model", "nonce": VECTORS["nonce"], "ts": 1750000000}
    request = request_aad(field="messages.0.content", **about)
    assert request.decode() == VECTORS["request_aad"]
    response = response_aad(field="choices.0.message.content", response_id="chatcmpl-123", **about)
    assert response.decode() == VECTORS["response_aad"]
