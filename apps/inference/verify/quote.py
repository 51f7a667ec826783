"""Is this quote genuine, of code that I accept, and does it bind what it should?"""

from apps.inference.documents.evidence import REGISTER_BYTES, MockEvidence, replay
from apps.inference.errors import (
    EventLogMismatch,
    MeasurementRefused,
    MockRefused,
    QuoteBindingMismatch,
    UnmeasuredClaim,
)
from apps.inference.verify.policy import Policy
from apps.inference.verify.strict import verify_canonical_quote
from shared.tee.quote import TdReport
from shared.tee.quote_verification import authenticate_quote, verify_policy

DATA_BYTES = 64


def verify_quote(evidence: MockEvidence, bound: bytes, policy: Policy, now_s: int) -> str:
    """
    Verify that a quote is genuine, of code that a policy accepts, and binds some bytes.

    Parameters
    ----------
    evidence : `MockEvidence`
        Read, and nothing more.
    bound : `bytes`
        What the quote's report data begin with, at most 64; the rest is zero.
    policy : `Policy`
    now_s : `int`
        When it is to have been good [Unix s].

    Returns
    -------
    measurement : `str`
        MRTD, hex.

    Raises
    ------
    MockRefused, NotCanonical, UnmeasuredClaim, QuoteBindingMismatch, EventLogMismatch,
    MeasurementRefused
        See each class; and what `authenticate_quote` and `verify_policy` raise.
    """
    if not policy.allow_mock:
        raise MockRefused("the TEE is a MOCK: whoever owns the machine can make such evidence")
    root_ca = evidence.root_ca if policy.root_ca is None else policy.root_ca
    quote = authenticate_quote(evidence.quote, evidence.collateral, root_ca=root_ca, now_s=now_s)
    verify_canonical_quote(evidence.quote, root_ca)
    if evidence.root_ca != root_ca:
        raise UnmeasuredClaim("the service names another root than the policy")
    verify_policy(quote, policy.platform, now_s=now_s)
    report = quote.report
    if not isinstance(report, TdReport):
        raise QuoteBindingMismatch("the quote is not of a trust domain")
    if report.report_data != bound.ljust(DATA_BYTES, b"\0"):
        raise QuoteBindingMismatch("the quote does not bind this keyset and this challenge")
    zero = bytes(REGISTER_BYTES)
    if report.registers != (zero, zero, zero, replay(evidence.events)):
        raise EventLogMismatch("the event log does not lead to the quote's registers")
    measured = report.mr_td.hex()
    if policy.measurements and measured not in policy.measurements:
        raise MeasurementRefused(f"the quote is of {measured}, which the policy does not list")
    return measured
