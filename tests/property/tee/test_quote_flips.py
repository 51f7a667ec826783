"""No changed bit of what an attestation rests on is overlooked."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto.hashes import sha256
from shared.errors import Rejected
from shared.tee.attestation import verify_attestation
from shared.tee.quote import MalformedQuote, SgxReport, UnsupportedQuote, parse_quote
from tests.support import mock_tee
from tests.support.short_run import examples

CAPABILITY = mock_tee.attested()
QUOTE = CAPABILITY.attestation.quote
SIGNED_COLLATERAL = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")
HEADER_BYTES = 48
# Behind it comes a length: it says how much of the certificates is read, and they are judged.
LAST_SIGNED = QUOTE.index(b"-----BEGIN") - 4


def verify(capability):
    verify_attestation(
        capability,
        node_id=mock_tee.NODE_ID,
        constraints=mock_tee.constraints(),
        root_ca=mock_tee.pki().root_ca,
        now_s=mock_tee.NOW_S,
        min_height=0,
        max_height=9,
    )


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=examples(300))
@given(st.integers(0, 8 * LAST_SIGNED - 1))
def test_no_bit_of_a_quote_may_change(bit):
    attestation = dataclasses.replace(CAPABILITY.attestation, quote=flipped(QUOTE, bit))
    with pytest.raises(Rejected):
        verify(dataclasses.replace(CAPABILITY, attestation=attestation))


@settings(max_examples=examples(150))
@given(st.sampled_from(SIGNED_COLLATERAL), st.data())
def test_no_bit_of_signed_collateral_may_change(field, data):
    original = getattr(CAPABILITY.attestation.collateral, field)
    bit = data.draw(st.integers(0, 8 * len(original) - 1))
    collateral = dataclasses.replace(
        CAPABILITY.attestation.collateral, **{field: flipped(original, bit)}
    )
    attestation = dataclasses.replace(CAPABILITY.attestation, collateral=collateral)
    with pytest.raises(Rejected):
        verify(dataclasses.replace(CAPABILITY, attestation=attestation))


@settings(max_examples=examples(150))
@given(st.sampled_from(("tcb_info", "qe_identity")), st.data())
def test_no_character_of_signed_texts_may_change(field, data):
    original = getattr(CAPABILITY.attestation.collateral, field)
    place = data.draw(st.integers(0, len(original) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != original[place]))
    text = original[:place] + character + original[place + 1 :]
    collateral = dataclasses.replace(CAPABILITY.attestation.collateral, **{field: text})
    attestation = dataclasses.replace(CAPABILITY.attestation, collateral=collateral)
    with pytest.raises(Rejected):
        verify(dataclasses.replace(CAPABILITY, attestation=attestation))


@given(st.binary(max_size=600))
def test_any_bytes_are_a_quote_or_a_typed_refusal(untrusted):
    try:
        report = parse_quote(untrusted)
    except (MalformedQuote, UnsupportedQuote):
        return
    assert len(report.report_data) == 64


@given(
    st.builds(
        SgxReport,
        cpu_svn=st.binary(min_size=16, max_size=16),
        attributes=st.binary(min_size=16, max_size=16),
        mr_enclave=st.binary(min_size=32, max_size=32),
        mr_signer=st.binary(min_size=32, max_size=32),
        isv_prod_id=st.integers(0, 65535),
        isv_svn=st.integers(0, 65535),
        report_data=st.binary(min_size=64, max_size=64),
    )
)
def test_reports_are_read_back(report):
    assert SgxReport.decode(report.encode()) == report
    assert len(report.encode()) == 384


@settings(max_examples=examples(100))
@given(st.text(max_size=200), st.binary(max_size=200))
def test_any_collateral_is_a_typed_refusal(text, data):
    collateral = dataclasses.replace(
        CAPABILITY.attestation.collateral, pck_crl_issuer_chain=text, pck_crl=data, tcb_info=text
    )
    attestation = dataclasses.replace(CAPABILITY.attestation, collateral=collateral)
    with pytest.raises(Rejected):
        verify(dataclasses.replace(CAPABILITY, attestation=attestation))


def test_the_unchanged_attestation_is_believed():
    verify(CAPABILITY)
    assert sha256(QUOTE) == sha256(CAPABILITY.attestation.quote)
