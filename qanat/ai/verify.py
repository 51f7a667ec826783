"""
Is an answer, a service, or a model's card what it says? Offline, as by `qanat verify`.

```python
from qanat.ai import verify

found = verify.receipt(Path("exchange.json").read_bytes(), policy=verify.Policy(allow_mock=True))
found.model, found.served_at
verify.card(Path("model.json.card.json").read_bytes(), model=Path("model.json").read_bytes())
```
"""

import time

from apps.data_market.card import VerifiedCard
from apps.data_market.card import verify_card as card
from apps.inference.documents.canonical import read_document
from apps.inference.verify.exchange import MAX_EXCHANGE_BYTES, Exchange, verify_exchange
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import VerifiedReceipt
from apps.inference.verify.report import VerifiedService, verify_report

__all__ = [
    "Policy",
    "VerifiedCard",
    "VerifiedReceipt",
    "VerifiedService",
    "card",
    "receipt",
    "report",
]


def receipt(
    exchange: bytes, *, policy: Policy | None = None, now_s: int | None = None
) -> VerifiedReceipt:
    """
    Verify what a client kept of one answer: report, receipt, and both bodies.

    Parameters
    ----------
    exchange : `bytes`
        As `client.last_receipt.save` wrote it.
    policy : `Policy`, optional
        What is accepted; by default no mock.
    now_s : `int`, optional
        When it must have been good [Unix s]; now by default.

    Raises
    ------
    Rejected
        What does not hold, by the verifier's name for it.
    """
    known = Exchange.decode(exchange)
    return verify_exchange(known, policy=policy or Policy(), now_s=_moment(now_s))[1]


def report(
    raw: bytes, *, nonce: str, policy: Policy | None = None, now_s: int | None = None
) -> VerifiedService:
    """
    Verify an attestation report, JSON, that answers a nonce of 64 hex digits.

    Parameters and refusals as of `receipt`.
    """
    document = read_document(raw, MAX_EXCHANGE_BYTES)
    return verify_report(document, nonce=nonce, policy=policy or Policy(), now_s=_moment(now_s))


def _moment(now_s: int | None) -> int:
    return int(time.time()) if now_s is None else now_s
