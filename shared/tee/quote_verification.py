"""
Is a quote genuine, and is its platform good enough?

Two questions, in oasis-core's order. `authenticate_quote` asks the first: every signature from the
pinned root down to the report, by `dcap-qvl`, the verifier that also judges Intel's own quotes.
`verify_policy` asks the second, from the facts that the first has established. Source: oasis-core
go/common/sgx/pcs/{quote,policy,tcb}.go @ f9f1fdc.
"""

import binascii
from dataclasses import dataclass
from typing import Any

from shared.crypto.hashes import sha256
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.tee.quote import SgxReport, TdReport, parse_quote
from shared.types.attestation import (
    Collateral,
    CollateralEdition,
    EnclaveIdentity,
    QuotePolicy,
)

ACCEPTED_STATUSES = frozenset({"UpToDate", "SWHardeningNeeded"})
"""TCB statuses of a platform that pass. Source: oasis-core go/common/sgx/pcs/tcb.go @ f9f1fdc."""
FORTANIX_DUMMY_SIGNER = bytes.fromhex(
    "9affcfae47b848ec2caf1c49b4b283531e1cc425f93582b36806e52a43d78d1a"
)
"""MRSIGNER of a key that everybody has. Source: oasis-core go/common/sgx/fortanix.go @ f9f1fdc."""
SECONDS_A_DAY = 86_400
CACHED_QUOTES = 512
"""Verified quotes kept: a large committee's, each with a few renewals."""


class DebugEnclave(Rejected, module="attestation", code=3):
    """Whoever runs this enclave can read its memory."""


class RefusedSigner(Rejected, module="attestation", code=4):
    """The enclave is signed by a key that everybody has."""


class UntrustedRoot(Rejected, module="attestation", code=5):
    """The quote stands under another root than the pinned one: mock, Intel, or another network."""


class QuoteNotGenuine(Rejected, module="attestation", code=6):
    """A certificate or signature between the root and the report does not verify."""


class CollateralOutOfTime(Rejected, module="attestation", code=7):
    """Certificates, revocation lists or TCB data are expired, or not yet valid."""


class PlatformRevoked(Rejected, module="attestation", code=8):
    """The platform's certificate, or its TCB level, is revoked."""


class TcbLevelUnknown(Rejected, module="attestation", code=9):
    """The platform is below every TCB level that is listed."""


class CollateralMismatch(Rejected, module="attestation", code=10):
    """The collateral is of another kind of TEE or platform than the quote."""


class TcbStatusRefused(Rejected, module="attestation", code=11):
    """The status of the platform's TCB is not one that the policy accepts."""


class QuotingEnclaveOutdated(Rejected, module="attestation", code=12):
    """The quoting enclave is not up to date."""


class PlatformFamilyRefused(Rejected, module="attestation", code=13):
    """The policy does not accept this family of platforms (FMSPC)."""


class EvaluationTooOld(Rejected, module="attestation", code=14):
    """The TCB evaluation data number is below the policy's smallest."""


class TcbInfoTooOld(Rejected, module="attestation", code=15):
    """The TCB info or QE identity was issued too long ago."""


class TdxRefused(Rejected, module="attestation", code=16):
    """The policy accepts no TDX quotes."""


@dataclass(frozen=True, slots=True)
class AuthenticQuote:
    """What is known once every signature has been verified."""

    report: SgxReport | TdReport
    tcb_status: str
    platform_tcb_status: str
    qe_tcb_status: str
    advisory_ids: tuple[str, ...]
    tcb_evaluation_data_number: int
    qe_evaluation_data_number: int
    fmspc: str
    """Platform family, upper-case hex."""
    tcb_issued_s: int
    """Issue date of the TCB info [Unix s]."""
    qe_issued_s: int
    """Issue date of the QE identity [Unix s]."""
    expires_s: int
    """When the first of certificates, lists and TCB data expires [Unix s]."""
    root_crl_number: int
    pck_crl_number: int
    """Numbers of the two lists of revoked certificates."""

    @property
    def identity(self) -> EnclaveIdentity:
        """Exact code of the enclave."""
        return self.report.identity

    @property
    def edition(self) -> CollateralEdition:
        """How new the collateral is."""
        kind = "SGX" if isinstance(self.report, SgxReport) else "TDX"
        return CollateralEdition(
            family=f"{kind} {self.fmspc}",
            root_crl=self.root_crl_number,
            pck_crl=self.pck_crl_number,
            tcb_evaluation=self.tcb_evaluation_data_number,
            qe_evaluation=self.qe_evaluation_data_number,
        )


class _Cache:
    """Verified quotes by hash, the newest `CACHED_QUOTES`, with the time of verification."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[int, AuthenticQuote]] = {}

    def find(self, key: bytes, now_s: int) -> AuthenticQuote | None:
        """Give a result that a verification at this time would give again."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        verified_s, quote = entry
        # What had begun at the time of verification has begun later too; what ends is `expires_s`.
        return quote if verified_s <= now_s < quote.expires_s else None

    def keep(self, key: bytes, now_s: int, quote: AuthenticQuote) -> None:
        """Keep a result; the oldest makes room."""
        while len(self._entries) >= CACHED_QUOTES:
            self._entries.pop(next(iter(self._entries)), None)
        self._entries[key] = (now_s, quote)


_VERIFIED = _Cache()


def authenticate_quote(
    quote: bytes, collateral: Collateral, *, root_ca: bytes, now_s: int
) -> AuthenticQuote:
    """
    Verify all signatures of a quote and give the facts they prove.

    Parameters
    ----------
    quote : `bytes`
        SGX v3 or TDX v4, with the PCK chain.
    collateral : `Collateral`
        Its evidence, from anybody.
    root_ca : `bytes`
        The pinned root certificate, DER.
    now_s : `int`
        Time of judgement [Unix s]; consensus time where consensus judges.

    Raises
    ------
    MalformedQuote, UnsupportedQuote, DebugEnclave, RefusedSigner, UntrustedRoot, QuoteNotGenuine,
    CollateralOutOfTime, PlatformRevoked, TcbLevelUnknown, CollateralMismatch
        See each class.
    """
    key = sha256(sha256(quote) + sha256(encode_record(collateral)) + sha256(root_ca))
    cached = _VERIFIED.find(key, now_s)
    if cached is not None:
        return cached
    report = parse_quote(quote)
    if report.is_debug:
        raise DebugEnclave("the enclave runs in debug mode")
    if report.identity.mr_signer == FORTANIX_DUMMY_SIGNER:
        raise RefusedSigner("the enclave is signed by the Fortanix dummy key")
    if last_certificate(collateral.pck_crl_issuer_chain) != root_ca:
        raise UntrustedRoot("the issuer chain does not end in the pinned root")
    authentic = _facts(report, collateral, _claims(quote, collateral, root_ca, now_s))
    _VERIFIED.keep(key, now_s, authentic)
    return authentic


def verify_policy(
    quote: AuthenticQuote,
    policy: QuotePolicy,
    *,
    now_s: int,
    accepted_statuses: frozenset[str] = ACCEPTED_STATUSES,
) -> None:
    """
    Judge the platform of an authentic quote.

    Flags of multi-package platforms (dynamic, cached keys, SMT) are not judged, as upstream.

    Raises
    ------
    TdxRefused, PlatformFamilyRefused, EvaluationTooOld, TcbInfoTooOld, TcbStatusRefused,
    QuotingEnclaveOutdated
        See each class.
    """
    if isinstance(quote.report, TdReport) and not policy.allow_tdx:
        raise TdxRefused("the policy accepts no TDX quotes")
    if quote.fmspc in policy.fmspc_blacklist:
        raise PlatformFamilyRefused(f"FMSPC {quote.fmspc} is blacklisted")
    if policy.fmspc_whitelist and quote.fmspc not in policy.fmspc_whitelist:
        raise PlatformFamilyRefused(f"FMSPC {quote.fmspc} is not whitelisted")
    number = min(quote.tcb_evaluation_data_number, quote.qe_evaluation_data_number)
    if number < policy.min_tcb_evaluation_data_number:
        raise EvaluationTooOld(
            f"TCB evaluation data number {number}, at least "
            f"{policy.min_tcb_evaluation_data_number} wanted"
        )
    age_s = now_s - min(quote.tcb_issued_s, quote.qe_issued_s)
    if age_s > policy.tcb_validity_days * SECONDS_A_DAY:
        raise TcbInfoTooOld(
            f"TCB data are {age_s // SECONDS_A_DAY} days old, at most "
            f"{policy.tcb_validity_days} allowed"
        )
    _verify_status(quote.platform_tcb_status, quote, accepted_statuses)
    if quote.qe_tcb_status != "UpToDate":
        raise QuotingEnclaveOutdated(f"QE status {quote.qe_tcb_status}")
    # The status of all parts together: for TDX it has the module's in it.
    _verify_status(quote.tcb_status, quote, accepted_statuses)


def _verify_status(status: str, quote: AuthenticQuote, accepted: frozenset[str]) -> None:
    if status not in accepted:
        advisories = f" ({', '.join(quote.advisory_ids)})" if quote.advisory_ids else ""
        raise TcbStatusRefused(f"TCB status {status}{advisories}")


def last_certificate(untrusted_chain: str) -> bytes:
    """Give the last certificate of a PEM chain as DER, or raise `UntrustedRoot`."""
    _, _, last = untrusted_chain.rpartition("-----BEGIN CERTIFICATE-----")
    body, _, _ = last.partition("-----END CERTIFICATE-----")
    try:
        return binascii.a2b_base64(body)
    except ValueError as error:
        raise UntrustedRoot(f"the issuer chain is not PEM: {error}") from error


def _claims(quote: bytes, collateral: Collateral, root_ca: bytes, now_s: int) -> Any:
    # Imported late: an enclave or a node that verifies nothing at its start does not wait for it.
    import json

    import dcap_qvl

    evidence = dcap_qvl.QuoteCollateralV3(
        collateral.pck_crl_issuer_chain,
        collateral.root_ca_crl,
        collateral.pck_crl,
        collateral.tcb_info_issuer_chain,
        collateral.tcb_info,
        collateral.tcb_info_signature,
        collateral.qe_identity_issuer_chain,
        collateral.qe_identity,
        collateral.qe_identity_signature,
    )
    reason = ""
    try:
        claims = dcap_qvl.QuoteVerifier(root_ca).verify_with_policy(
            quote, evidence, now_s, dcap_qvl.QuotePolicy.claims_only(now_s)
        )
        return json.loads(claims.to_json())
    except BaseException as error:  # noqa: BLE001 - others are raised on
        reason = _reason_of(error)
    try:
        # This way of calling the verifier also tells the cause behind the reason.
        dcap_qvl.verify_with_root_ca(quote, evidence, root_ca, now_s)
    except BaseException as error:  # noqa: BLE001 - others are raised on
        reason = _reason_of(error)
    raise _refusal(reason)


def _reason_of(error: BaseException) -> str:
    """Text of a refusal by the verifier; another exception is raised on."""
    # The verifier reads what anybody sent. Where that makes it panic, the quote is no good.
    if isinstance(error, ValueError) or type(error).__name__ == "PanicException":
        return str(error)
    raise error


_REFUSALS: tuple[tuple[str, type[Rejected]], ...] = (
    ("Failed to load root ca", UntrustedRoot),
    ("InvalidCrlSignatureForPublicKey", UntrustedRoot),
    ("UnknownIssuer", UntrustedRoot),
    ("CertRevoked", PlatformRevoked),
    ("TCB status is invalid: Revoked", PlatformRevoked),
    ("Expired", CollateralOutOfTime),
    ("NotValidYet", CollateralOutOfTime),
    ("expired", CollateralOutOfTime),
    ("in the future", CollateralOutOfTime),
    ("No matching TCB level", TcbLevelUnknown),
    ("Fmspc mismatch", CollateralMismatch),
    ("Unsupported QE Identity", CollateralMismatch),
    ("Debug mode", DebugEnclave),
)
"""Texts of dcap-qvl 0.7.0, the exact version that is pinned, and what they mean."""


def _refusal(reason: str) -> Rejected:
    text = " ".join(
        reason.removeprefix("Verification failed: ").split("Stack backtrace")[0].split()
    )
    for fragment, kind in _REFUSALS:
        if fragment in text:
            return kind(text)
    return QuoteNotGenuine(text)


def _facts(report: SgxReport | TdReport, collateral: Collateral, claims: Any) -> AuthenticQuote:
    import json

    return AuthenticQuote(
        report=report,
        tcb_status=claims["tcb"]["status"],
        platform_tcb_status=claims["platform"]["tcb_level"]["tcbStatus"],
        qe_tcb_status=claims["qe"]["tcb_level"]["tcbStatus"],
        advisory_ids=tuple(claims["tcb"]["advisory_ids"]),
        tcb_evaluation_data_number=claims["tcb"]["eval_data_number"],
        qe_evaluation_data_number=claims["qe"]["tcb_eval_data_number"],
        fmspc=bytes(claims["platform"]["pck"]["fmspc"]).hex().upper(),
        # Both texts are signed, and the verifier has read these dates.
        tcb_issued_s=unix_seconds(json.loads(collateral.tcb_info)["issueDate"]),
        qe_issued_s=unix_seconds(json.loads(collateral.qe_identity)["issueDate"]),
        expires_s=min(
            claims["earliest_expiration_date"], claims["qe_iden_earliest_expiration_date"]
        ),
        root_crl_number=claims["platform"]["root_ca_crl_num"],
        pck_crl_number=claims["platform"]["pck_crl_num"],
    )


def unix_seconds(text: str) -> int:
    """
    Read `YYYY-MM-DDThh:mm:ssZ`, the form of dates in Intel's TCB data, as Unix seconds.

    Written out because the pure layers import no clock. Years begin in March here, so that the leap
    day is the last of its year.
    """
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    seconds = 3600 * int(text[11:13]) + 60 * int(text[14:16]) + int(text[17:19])
    march_year = year - (month <= 2)
    days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400
    days += (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return (days - DAYS_TO_1970) * SECONDS_A_DAY + seconds


DAYS_TO_1970 = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
