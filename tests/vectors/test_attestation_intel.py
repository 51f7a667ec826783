"""Intel's own quotes go through the same code as the mock's, under Intel's root."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import get_type_hints

import pytest

from shared.errors import Rejected
from shared.tee.attestation import RakNotBound, find_root_ca, verify_attestation
from shared.tee.quote import UnsupportedQuote
from shared.tee.quote_verification import (
    ACCEPTED_STATUSES,
    CollateralOutOfTime,
    TcbInfoTooOld,
    TcbStatusRefused,
    TdxRefused,
    UntrustedRoot,
    authenticate_quote,
    verify_policy,
)
from shared.types.attestation import (
    Attestation,
    CapabilityTee,
    Collateral,
    QuotePolicy,
    TeeConstraints,
)
from tests.support import mock_tee

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("QANAT_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "dcap"
NOW_S = int(datetime(2025, 7, 19, 10, 0, 0, tzinfo=UTC).timestamp())
"""Inside the window of the samples' collateral."""
INTEL_ROOT_HASH = bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")
"""SHA-256 of the DER of `Intel SGX Root CA`, as Intel publishes it."""
TODAY_S = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"Intel's sample quotes are not in {DATA}; see QANAT_TEST_DATA"
)


def sample(name: str) -> tuple[bytes, Collateral]:
    texts = json.loads((DATA / f"{name}_collateral.json").read_text())
    fields = {}
    # Without the notes that bound them: text or bytes.
    for field, kind in get_type_hints(Collateral).items():
        fields[field] = bytes.fromhex(texts[field]) if kind is bytes else texts[field]
    return (DATA / name).read_bytes(), Collateral(**fields)


def authenticate(name, now_s=NOW_S):
    quote, collateral = sample(name)
    root_ca = find_root_ca(collateral, INTEL_ROOT_HASH)
    return authenticate_quote(quote, collateral, root_ca=root_ca, now_s=now_s)


def test_sgx_sample_is_genuine():
    quote = authenticate("sgx_quote")
    assert quote.fmspc == "00A067110000"
    assert quote.tcb_status == "ConfigurationAndSWHardeningNeeded"
    assert quote.advisory_ids == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert quote.report.report_data.rstrip(b"\0") == b"Hello, world!"
    assert quote.identity.mr_enclave.hex().startswith("33d8736db756ed49")
    assert quote.identity.mr_signer.hex().startswith("815f42f11cf64430")


def test_sgx_sample_is_refused_for_its_status_and_for_nothing_else():
    quote = authenticate("sgx_quote")
    with pytest.raises(TcbStatusRefused, match="ConfigurationAndSWHardeningNeeded"):
        verify_policy(quote, QuotePolicy(), now_s=NOW_S)
    verify_policy(
        quote,
        QuotePolicy(),
        now_s=NOW_S,
        accepted_statuses=ACCEPTED_STATUSES | {"ConfigurationAndSWHardeningNeeded"},
    )


def test_tdx_sample_is_accepted_where_tdx_is():
    quote = authenticate("tdx_quote")
    assert quote.tcb_status == "UpToDate"
    assert quote.identity.mr_signer == bytes(32)
    verify_policy(quote, QuotePolicy(allow_tdx=True), now_s=NOW_S)
    with pytest.raises(TdxRefused):
        verify_policy(quote, QuotePolicy(), now_s=NOW_S)


def test_quote_v5_is_not_supported_as_upstream():
    with pytest.raises(UnsupportedQuote):
        authenticate("tdx_quote_outdated")


@pytest.mark.parametrize("name", ["sgx_quote", "tdx_quote"])
def test_collateral_of_last_year_is_out_of_time(name):
    with pytest.raises(CollateralOutOfTime):
        authenticate(name, TODAY_S)


def test_tcb_data_age_is_judged_by_their_own_dates():
    quote = authenticate("sgx_quote")
    with pytest.raises(TcbInfoTooOld):
        verify_policy(quote, QuotePolicy(tcb_validity_days=29), now_s=NOW_S)


@pytest.mark.parametrize("name", ["sgx_quote", "tdx_quote"])
@pytest.mark.parametrize("offset", [100, 200, 400, 500, 700, 1000, 1200])
def test_no_bit_of_a_real_quote_may_change(name, offset):
    quote, collateral = sample(name)
    root_ca = find_root_ca(collateral, INTEL_ROOT_HASH)
    changed = quote[:offset] + bytes([quote[offset] ^ 1]) + quote[offset + 1 :]
    with pytest.raises(Rejected):
        authenticate_quote(changed, collateral, root_ca=root_ca, now_s=NOW_S)


def test_mock_quote_never_stands_under_intels_root():
    _, intel = sample("sgx_quote")
    intel_root = find_root_ca(intel, INTEL_ROOT_HASH)
    mock = mock_tee.attested()
    with pytest.raises(UntrustedRoot):
        authenticate_quote(
            mock.attestation.quote, mock.attestation.collateral, root_ca=intel_root, now_s=NOW_S
        )
    with pytest.raises(UntrustedRoot):
        find_root_ca(mock.attestation.collateral, INTEL_ROOT_HASH)
    with pytest.raises(Rejected):
        # Under Intel's collateral its certificate chain is still the mock's.
        authenticate_quote(mock.attestation.quote, intel, root_ca=intel_root, now_s=NOW_S)


def test_intels_quote_does_not_stand_under_the_mock_root():
    quote, collateral = sample("sgx_quote")
    with pytest.raises(UntrustedRoot):
        authenticate_quote(quote, collateral, root_ca=mock_tee.pki().root_ca, now_s=NOW_S)


def test_a_real_quote_is_judged_by_every_step_up_to_the_rak():
    quote, collateral = sample("tdx_quote")
    root_ca = find_root_ca(collateral, INTEL_ROOT_HASH)
    identity = authenticate("tdx_quote").identity
    capability = CapabilityTee(
        rak=bytes(32), rek=bytes(32), attestation=Attestation(quote, collateral, 1, bytes(64))
    )
    with pytest.raises(RakNotBound):
        verify_attestation(
            capability,
            node_id=bytes(32),
            constraints=TeeConstraints((identity,), QuotePolicy(allow_tdx=True)),
            root_ca=root_ca,
            now_s=NOW_S,
            min_height=0,
            max_height=1,
        )
