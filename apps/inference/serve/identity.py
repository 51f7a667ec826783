"""
The service's keys, its keyset and the reports that bind them.

Receipts are signed by a key of the app's daemon. Requests are opened by a key that is drawn at each
start: what was sent to an earlier process is refused, so that a replay table in memory is enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nacl.signing import SigningKey

from apps.appd import Appd
from apps.inference.documents.canonical import VERSION, Document, canonical
from apps.inference.documents.evidence import (
    MOCK,
    SERVICE_EVENT,
    MockEvidence,
    facts_document,
)
from apps.inference.documents.keyset import (
    ED25519,
    Keyset,
    PublicKey,
    keyset_digest,
    report_data,
)
from apps.inference.documents.receipt import ReceiptDraft

KEYSET_LIFE_S = 7 * 86_400
"""How long a keyset counts [s]; a client may keep receipts for so long without the report's age."""
RENEW_BEFORE_S = 86_400
"""A keyset with less than this left is replaced [s]."""
RECEIPT_KEY = "qanat.inference/receipts/1"
PROVENANCE: Document = {
    "repo_url": None,
    "repo_commit": None,
    "image_digest": None,
    "image_provenance": None,
}
"""Unknown where the worker does not say; the measurement stands in the quote."""


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """What the service signs with, and what clients encrypt to."""

    receipts: SigningKey
    e2ee: tuple[PublicKey, ...] = ()

    @property
    def receipt_key(self) -> PublicKey:
        """The public key of receipts, named by itself."""
        public = bytes(self.receipts.verify_key).hex()
        return PublicKey(f"receipts-{public[:16]}", ED25519, public)


class Identity:
    """Who this service is, now."""

    def __init__(
        self,
        appd: Appd,
        keys: ServiceKeys,
        subject: str,
        capabilities: Document,
        now_s: Callable[[], int],
    ) -> None:
        self._appd, self._keys, self._subject = appd, keys, subject
        self._capabilities, self._now_s = capabilities, now_s
        self._keyset = self._make()

    @property
    def digest(self) -> str:
        """Of the keyset in force."""
        return keyset_digest(self.keyset.document())

    @property
    def keyset(self) -> Keyset:
        """The keyset in force; a new one takes its place before its time is over."""
        if self._keyset.not_after - self._now_s() < RENEW_BEFORE_S:
            self._keyset = self._make()
        return self._keyset

    async def report(self, nonce: str | None) -> Document:
        """
        Give the report for a challenge.

        Raises
        ------
        MalformedNonce, AppdAway
            See each class.
        """
        document = self.keyset.document()
        named = keyset_digest(document)
        bound = report_data(named, nonce)
        evidence: MockEvidence = await self._appd.quote(bound)
        return {
            "api_version": VERSION,
            "workload_keyset_digest": named,
            "attestation": {
                "tee_type": MOCK,
                "workload_keyset": document,
                "report_data": bound.hex(),
                "source_provenance": PROVENANCE,
                "evidence": evidence.document(),
            },
            "service_capabilities": self._capabilities,
        }

    def sign(self, draft: ReceiptDraft) -> Document:
        """Give the signed receipt."""
        return draft.sign(self.digest, self._keys.receipt_key.key_id, self._keys.receipts)

    def _make(self) -> Keyset:
        return Keyset(
            subject=self._subject,
            not_after=self._now_s() + KEYSET_LIFE_S,
            receipt_keys=(self._keys.receipt_key,),
            e2ee_keys=self._keys.e2ee,
        )


async def make_identity(
    appd: Appd,
    models: Mapping[str, str],
    now_s: Callable[[], int],
    e2ee: tuple[PublicKey, ...] = (),
    e2ee_versions: tuple[str, ...] = (),
    sourced: "Document | None" = None,
) -> Identity:
    """
    Take keys of the daemon, and measure what the service says of itself.

    Parameters
    ----------
    appd : `Appd`
    models : mapping
        Names with the digest of their weights, `sha256:…`.
    now_s : callable
        Time [Unix s].
    sourced : `Document`, optional
        What a model that answers from sources says of itself.

    Raises
    ------
    AppdAway
        The daemon does not answer.
    """
    capabilities: Document = {
        "supported_e2ee_versions": list(e2ee_versions),
        "serving": "direct",
    }
    if sourced is not None:
        capabilities["knowledge"] = sourced
    fact = (SERVICE_EVENT, canonical(facts_document(models, PROVENANCE, capabilities)))
    # A log only grows: a service that begins anew under the same daemon measures nothing twice.
    if (await appd.quote(b"")).events[-1:] != (fact,):
        await appd.emit(*fact)
    keys = ServiceKeys(SigningKey(await appd.derive(RECEIPT_KEY, "ed25519")), e2ee)
    return Identity(appd, keys, await appd.app_id(), capabilities, now_s)
