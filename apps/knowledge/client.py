"""
The two sides of the knowledge app: who has documents, and who asks.

A contributor verifies the app before his document leaves him: the key that he seals to is one that
the app's quote measures, together with the contract that pays him.
"""

import secrets
from dataclasses import dataclass, field
from typing import Self

from apps.boxes import seal_to
from apps.inference.client.session import establish
from apps.inference.documents.canonical import object_of, text_of
from apps.inference.errors import MalformedDocument
from apps.inference.verify.policy import Policy
from apps.inference.verify.report import VerifiedService
from apps.knowledge.chain import KnowledgeChain
from apps.knowledge.chunks import read_text, split
from apps.knowledge.commitment import commit
from apps.knowledge.errors import AppAway
from apps.knowledge.uploads import DocumentUpload
from apps.service_http import ServiceHttp
from shared.crypto.secret import SecretBytes

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Given:
    """A document as its owner keeps it."""

    text: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    """Salts of the chunks follow from it; without it no chunk can be shown to anybody."""
    chunks: tuple[str, ...] = field(repr=False)

    @property
    def commitment(self) -> bytes:
        """By which answers name it, 32 bytes."""
        return commit(self.chunks, SecretBytes(self.secret))


def prepare(document: bytes, secret: bytes | None = None) -> Given:
    """Split a text as the app does; with the secret it was kept with. Raises `BadDocument`."""
    return Given(document, secret or secrets.token_bytes(32), split(read_text(document)))


class App:
    """The app, verified by a fresh challenge."""

    def __init__(self, url: str, policy: Policy, now_s: int) -> None:
        """
        Reach the app and verify it.

        Raises
        ------
        Rejected, AppAway
            It is not what the policy accepts, by the verifier's name for it; it does not answer.
        """
        self.url, self._http = url, ServiceHttp(url, AppAway)
        try:
            service = establish(self._report, policy, now_s).service
            self.chain_id, self.pay, self.upload_key = _measured(service)
        except BaseException:
            self._http.close()
            raise

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def hand(self, upload: DocumentUpload) -> None:
        """Seal a document to the app and hand it over. Raises `AppAway` with what it says."""
        self._http.ask("POST", "/v1/knowledge/documents", seal_to(self.upload_key, upload))

    def _report(self, nonce: str) -> bytes:
        return self._http.ask("GET", f"/v1/aci/attestation?nonce={nonce}")


class Contributor:
    """Somebody with documents."""

    def __init__(self, app: App, chain: KnowledgeChain) -> None:
        """Take a verified app; raises `AppAway` where it pays by another contract."""
        if (app.chain_id, app.pay) != (chain.chain_id, chain.address.lower()):
            raise AppAway("the app measured another contract than this")
        self._app, self._chain = app, chain

    def add(self, document: bytes, *, max_run: int = 120, budget: int = 600) -> Given:
        """
        Commit to a document on the chain, and hand it to the app, sealed.

        Parameters
        ----------
        document : `bytes`
            UTF-8 text, at most 64 KiB.
        max_run, budget : `int`
            Longest passage of it in one answer, and how much of it one asker gets in all answers
            [letters and digits].

        Raises
        ------
        BadDocument, ContractRefused, GatewayAway, AppAway
            See each class.
        """
        given = prepare(document)
        self.give(given, max_run=max_run, budget=budget)
        return given

    def give(self, given: Given, *, max_run: int = 120, budget: int = 600) -> None:
        """As `add`, where what its owner keeps is kept already."""
        self._chain.register(given.commitment, len(given.chunks), max_run, budget)
        self.hand(given)

    def hand(self, given: Given) -> None:
        """Hand a document over that is registered: to a replica, or again. Raises `AppAway`."""
        place = self._chain.chain_id, bytes.fromhex(self._chain.address.removeprefix("0x"))
        self._app.hand(DocumentUpload(*place, given.commitment, given.secret, given.text))

    def remove(self, commitment: bytes) -> None:
        """Take a document back: the next answer is made without it."""
        self._chain.remove(commitment)

    def pay_wei(self) -> int:
        """What was earned and not yet taken; nobody else can ask."""
        return self._chain.my_pay_wei()

    def withdraw(self) -> int:
        """Take all that was earned [wei]."""
        owed = self.pay_wei()
        if owed:
            self._chain.withdraw(owed)
        return owed


def _measured(service: VerifiedService) -> tuple[object, str, bytes]:
    try:
        said = object_of(service.capabilities, "knowledge")
        pay, key = text_of(said, "pay"), bytes.fromhex(text_of(said, "upload_key"))
    except (MalformedDocument, ValueError) as error:
        raise AppAway("the service measured no contract and no key to seal to") from error
    if len(key) != KEY_BYTES:
        raise AppAway("the app measured no key to seal to")
    return said.get("chain_id"), pay, key
