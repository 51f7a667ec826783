"""Which attestations are believed, and the class of each refusal."""

import dataclasses

import dcap_qvl
import pytest

from qanat import cpu
from qanat.cpu.quoting import QuotingEnclave
from shared.crypto.hashes import sha256
from shared.tee import attestation, quote_verification
from shared.tee.attestation import (
    ATTESTATION,
    QuoteNotMine,
    attestation_hash,
    bind_rak,
    find_root_ca,
    make_attestation,
    verify_attestation,
)
from shared.tee.quote import MalformedQuote, UnsupportedQuote
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from tests.support import mock_tee
from tests.support.mock_tee import ENCLAVE, NODE_ID, NOW_S, OTHER_ENCLAVE, REK

DAY_S = 86_400
QUOTE_AT = {"mr_enclave": 48 + 64, "report_data": 48 + 320, "attributes": 48 + 48}


def verify(capability, *constraints, node_id=NODE_ID, now_s=NOW_S, heights=(1, 9), **policy):
    verify_attestation(
        capability,
        node_id=node_id,
        constraints=mock_tee.constraints(*constraints, **policy),
        root_ca=mock_tee.pki().root_ca,
        now_s=now_s,
        min_height=heights[0],
        max_height=heights[1],
    )


def with_attestation(capability, **changes) -> CapabilityTee:
    return dataclasses.replace(
        capability, attestation=dataclasses.replace(capability.attestation, **changes)
    )


def with_collateral(capability, **changes) -> CapabilityTee:
    collateral = dataclasses.replace(capability.attestation.collateral, **changes)
    return with_attestation(capability, collateral=collateral)


def declared(valid_days=None, **tcb) -> CapabilityTee:
    """An attestation whose collateral says something else about the platform."""
    collateral = mock_tee.pki().issue_collateral(
        NOW_S, cpu.TcbDeclaration(**tcb), valid_days=valid_days
    )
    return with_attestation(mock_tee.attested(), collateral=collateral)


def changed(quote: bytes, offset: int) -> bytes:
    return quote[:offset] + bytes([quote[offset] ^ 1]) + quote[offset + 1 :]


def test_honest_attestation_is_believed():
    verify(mock_tee.attested())


def test_every_platform_of_the_network_is_believed():
    for name in ("node-0", "node-1", "another"):
        verify(mock_tee.attested(of=mock_tee.platform(name)))


@pytest.mark.parametrize("status", ["UpToDate", "SWHardeningNeeded"])
def test_platforms_of_two_statuses_pass(status):
    verify(declared(status=status))


@pytest.mark.parametrize(
    "status",
    [
        "OutOfDate",
        "ConfigurationNeeded",
        "OutOfDateConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
    ],
)
def test_other_statuses_are_refused_with_their_advisories(status):
    with pytest.raises(quote_verification.TcbStatusRefused, match=f"{status}.*INTEL-SA-00001"):
        verify(declared(status=status, advisory_ids=("INTEL-SA-00001",)))


def test_revoked_tcb_level_is_refused():
    with pytest.raises(quote_verification.PlatformRevoked):
        verify(declared(status="Revoked"))


def test_revoked_platform_certificate_is_refused():
    serial = cpu.certificate_serial(mock_tee.platform())
    with pytest.raises(quote_verification.PlatformRevoked):
        verify(declared(revoked=(serial,)))


def test_revocation_hits_only_the_revoked_platform():
    serial = cpu.certificate_serial(mock_tee.platform("node-1"))
    verify(declared(revoked=(serial,)))


def test_platform_below_every_level_is_refused():
    with pytest.raises(quote_verification.TcbLevelUnknown):
        verify(declared(required_svn=3))


def test_quoting_enclave_must_be_up_to_date():
    with pytest.raises(quote_verification.QuotingEnclaveOutdated):
        verify(declared(qe_status="OutOfDate"))


def test_evaluation_number_below_the_policy_is_refused():
    verify(declared(evaluation_data_number=12))
    with pytest.raises(quote_verification.EvaluationTooOld):
        verify(declared(evaluation_data_number=11))


def test_platform_families_are_listed():
    capability = mock_tee.attested()
    verify(capability, fmspc_whitelist=("00D06F00DE01",))
    with pytest.raises(quote_verification.PlatformFamilyRefused):
        verify(capability, fmspc_whitelist=("00A067110000",))
    with pytest.raises(quote_verification.PlatformFamilyRefused):
        verify(capability, fmspc_blacklist=("00D06F00DE01",))


def test_tcb_data_age_counts_from_their_issue():
    capability = mock_tee.attested()
    # The mock Intel dates its data one day back.
    verify(capability, now_s=NOW_S + 29 * DAY_S, tcb_validity_days=30)
    with pytest.raises(quote_verification.TcbInfoTooOld):
        verify(capability, now_s=NOW_S + 29 * DAY_S + 1, tcb_validity_days=30)


def test_expired_collateral_is_refused():
    capability = declared(valid_days=30)
    verify(capability, now_s=NOW_S + 30 * DAY_S - 1)
    with pytest.raises(quote_verification.CollateralOutOfTime):
        verify(capability, now_s=NOW_S + 30 * DAY_S)


def test_collateral_from_the_future_is_refused():
    with pytest.raises(quote_verification.CollateralOutOfTime):
        verify(mock_tee.attested(), now_s=NOW_S - 2 * DAY_S)


def test_a_cached_verdict_does_not_outlive_what_it_rests_on():
    capability = declared(valid_days=30, evaluation_data_number=18)
    verify(capability)
    verify(capability)
    with pytest.raises(quote_verification.CollateralOutOfTime):
        verify(capability, now_s=NOW_S + 30 * DAY_S)
    with pytest.raises(quote_verification.CollateralOutOfTime):
        verify(capability, now_s=NOW_S - 2 * DAY_S)


def test_mock_network_outlives_decades_of_moved_time():
    verify(mock_tee.attested(), now_s=NOW_S + 99 * 365 * DAY_S)


def test_debug_enclave_is_refused():
    rak = mock_tee.rak()
    quote = QuotingEnclave(mock_tee.platform()).quote(
        ENCLAVE, bind_rak(rak.public_key) + bytes(32), is_debug=True
    )
    with pytest.raises(quote_verification.DebugEnclave):
        verify(with_attestation(mock_tee.attested(), quote=quote))


def test_signer_that_everybody_is_is_refused():
    identity = EnclaveIdentity(b"a" * 32, quote_verification.FORTANIX_DUMMY_SIGNER)
    with pytest.raises(quote_verification.RefusedSigner):
        verify(mock_tee.attested(identity=identity), identity)


def test_quote_of_another_mock_network_is_refused():
    stranger = mock_tee.attested(of=mock_tee.platform("node-0", "another network"))
    with pytest.raises(quote_verification.UntrustedRoot):
        verify(stranger)


def test_platform_of_another_network_under_our_collateral_is_refused():
    stranger = mock_tee.attested(of=mock_tee.platform("node-0", "another network"))
    ours = mock_tee.attested().attestation.collateral
    with pytest.raises(quote_verification.QuoteNotGenuine, match="certificate chain"):
        verify(with_attestation(stranger, collateral=ours))


@pytest.mark.parametrize("field", ["mr_enclave", "report_data"])
def test_flipped_report_is_refused(field):
    capability = mock_tee.attested()
    quote = changed(capability.attestation.quote, QUOTE_AT[field])
    with pytest.raises(quote_verification.QuoteNotGenuine, match="report signature"):
        verify(with_attestation(capability, quote=quote))


@pytest.mark.parametrize("field", ["tcb_info_signature", "qe_identity_signature"])
def test_collateral_that_nobody_signed_is_refused(field):
    with pytest.raises(quote_verification.QuoteNotGenuine, match=field.removesuffix("_signature")):
        verify(with_collateral(mock_tee.attested(), **{field: bytes(64)}))


def test_better_status_than_the_signed_one_is_refused():
    capability = declared(status="OutOfDate")
    better = capability.attestation.collateral.tcb_info.replace("OutOfDate", "UpToDate")
    with pytest.raises(quote_verification.QuoteNotGenuine):
        verify(with_collateral(capability, tcb_info=better))


def test_collateral_of_another_platform_family_is_refused(monkeypatch):
    monkeypatch.setattr("qanat.cpu.pki.FMSPC", bytes(6))
    capability = declared()
    with pytest.raises(quote_verification.CollateralMismatch):
        verify(capability)


@pytest.mark.parametrize(
    "field",
    [
        "pck_crl_issuer_chain",
        "root_ca_crl",
        "pck_crl",
        "tcb_info_issuer_chain",
        "tcb_info",
        "tcb_info_signature",
        "qe_identity_issuer_chain",
        "qe_identity",
        "qe_identity_signature",
    ],
)
def test_no_part_of_the_collateral_may_be_missing(field):
    capability = mock_tee.attested()
    empty = type(getattr(capability.attestation.collateral, field))()
    with pytest.raises((quote_verification.QuoteNotGenuine, quote_verification.UntrustedRoot)):
        verify(with_collateral(capability, **{field: empty}))


def test_unlisted_code_is_refused():
    with pytest.raises(attestation.UnknownEnclave):
        verify(mock_tee.attested(identity=OTHER_ENCLAVE))
    with pytest.raises(attestation.UnknownEnclave):
        # The pair must match, not each of its halves.
        verify(
            mock_tee.attested(identity=EnclaveIdentity(ENCLAVE.mr_enclave, bytes(32))),
            ENCLAVE,
            EnclaveIdentity(bytes(32), bytes(32)),
        )


def test_rak_that_the_quote_does_not_name_is_refused():
    thief = mock_tee.rak("thief")
    stolen = mock_tee.attested().attestation
    message = attestation_hash(stolen.quote[368:432], NODE_ID, stolen.height, REK)
    signature = thief.sign(ATTESTATION.anywhere(), message)
    capability = CapabilityTee(
        thief.public_key, REK, dataclasses.replace(stolen, signature=signature)
    )
    with pytest.raises(attestation.RakNotBound):
        verify(capability)


def test_attestation_speaks_of_one_node_height_and_rek():
    capability = mock_tee.attested()
    with pytest.raises(attestation.BadAttestationSignature):
        verify(capability, node_id=b"m" * 32)
    with pytest.raises(attestation.BadAttestationSignature):
        verify(with_attestation(capability, height=6))
    with pytest.raises(attestation.BadAttestationSignature):
        verify(dataclasses.replace(capability, rek=b"f" * 32))
    with pytest.raises(attestation.BadAttestationSignature):
        verify(with_attestation(capability, signature=bytes(64)))


def test_height_bounds_are_inclusive():
    capability = mock_tee.attested(height=5)
    verify(capability, heights=(5, 5))
    with pytest.raises(attestation.AttestationTooOld):
        verify(capability, heights=(6, 9))
    with pytest.raises(attestation.AttestationFromFuture):
        verify(capability, heights=(1, 4))


@pytest.mark.parametrize("length", [0, 1, 47, 48, 200, 431, 432, 435, 436, 1000])
def test_truncated_quote_is_malformed(length):
    capability = mock_tee.attested()
    with pytest.raises(MalformedQuote):
        verify(with_attestation(capability, quote=capability.attestation.quote[:length]))


def test_bytes_after_a_quote_are_refused():
    capability = mock_tee.attested()
    with pytest.raises(MalformedQuote):
        verify(with_attestation(capability, quote=capability.attestation.quote + b"\x00\x01"))


@pytest.mark.parametrize(("offset", "value"), [(0, 4), (0, 5), (2, 3), (4, 0x81)])
def test_other_kinds_of_quote_are_unsupported(offset, value):
    quote = bytearray(mock_tee.attested().attestation.quote)
    quote[offset] = value
    with pytest.raises(UnsupportedQuote):
        verify(with_attestation(mock_tee.attested(), quote=bytes(quote)))


def test_an_enclave_refuses_a_quote_that_is_not_for_its_nonce():
    class StaleCpu:
        def quote(self, report_data):
            return mock_tee.mock_cpu().quote(report_data[:32] + bytes(32))

    with pytest.raises(QuoteNotMine):
        make_attestation(
            StaleCpu(),
            mock_tee.entropy(),
            rak=mock_tee.rak(),
            rek=REK,
            node_id=NODE_ID,
            height=5,
        )


def test_pinned_root_is_found_at_the_end_of_the_chain():
    pki = mock_tee.pki()
    collateral = pki.issue_collateral(NOW_S)
    assert find_root_ca(collateral, sha256(pki.root_ca)) == pki.root_ca
    for chain in ("", "no PEM", collateral.tcb_info_issuer_chain.replace("A", "B")):
        with pytest.raises(quote_verification.UntrustedRoot):
            find_root_ca(
                dataclasses.replace(collateral, pck_crl_issuer_chain=chain),
                sha256(pki.root_ca),
            )
    with pytest.raises(quote_verification.UntrustedRoot):
        find_root_ca(collateral, bytes(32))


class PanicException(BaseException):
    """As PyO3 raises it."""


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(PanicException("out of bounds"), "QuoteNotGenuine"), (KeyboardInterrupt(), None)],
)
def test_a_panic_of_the_verifier_is_a_refusal_and_an_interrupt_stays_one(monkeypatch, raised, seen):
    def fails(*_):
        raise raised

    monkeypatch.setattr(dcap_qvl, "QuoteVerifier", fails)
    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", fails)
    monkeypatch.setattr(quote_verification, "_VERIFIED", quote_verification._Cache())
    kind = type(raised) if seen is None else getattr(quote_verification, seen)
    with pytest.raises(kind):
        verify(mock_tee.attested())
