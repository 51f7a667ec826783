"""
What the service does with a request that comes encrypted: headers, replay, fields.

Source: e2ee-v2.md 3, 7.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.inference.documents.keyset import PublicKey
from apps.inference.e2ee.fields import (
    compact,
    open_request,
    request_aad,
    response_aad,
    transform_answer,
)
from apps.inference.e2ee.suites import (
    ALGORITHMS,
    PrivateKey,
    fresh_key,
    read_public_key,
    seal,
    unseal,
)
from apps.inference.errors import (
    E2eeDecryptionFailed,
    E2eeHeaderMissing,
    E2eeInvalidNonce,
    E2eeInvalidPayloadModel,
    E2eeInvalidTimestamp,
    E2eeInvalidVersion,
    E2eeModelKeyMismatch,
    E2eeReplayDetected,
    TooBusy,
)

VERSION = "2"
HEADERS = (
    "x-e2ee-version",
    "x-client-pub-key",
    "x-model-pub-key",
    "x-e2ee-nonce",
    "x-e2ee-timestamp",
)
SKEW_S = 300
MAX_REMEMBERED = 100_000
"""Requests of one window; over it none is taken, since a forgotten one could come again."""
_NONCE = re.compile(r"[0-9a-fA-F]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Channel:
    """One request's encryption: what its answer is sealed with."""

    algo: str
    client: bytes
    nonce: str
    ts: int
    model: str

    def seal_answer(self, endpoint: str, document: dict[str, Any], response_id: str) -> None:
        """Encrypt what was generated, in place."""

        def sealed(field: str, text: str) -> str:
            aad = response_aad(self.algo, self.model, field, self.nonce, self.ts, response_id)
            return seal(self.algo, self.client, text.encode(), aad)

        transform_answer(endpoint, document, sealed)


class Replays:
    """Requests of the window; the clock is the service's."""

    def __init__(self, now_s: Callable[[], int]) -> None:
        self._now_s = now_s
        self._seen: OrderedDict[tuple[bytes, bytes, bytes], int] = OrderedDict()

    def claim(self, key: tuple[bytes, bytes, bytes]) -> None:
        """
        Take a request as new.

        Raises
        ------
        E2eeReplayDetected, TooBusy
            It was here before; nobody could remember it.
        """
        now_s = self._now_s()
        # A request of the far edge of the window is good for twice the skew.
        while self._seen and next(iter(self._seen.values())) + 2 * SKEW_S < now_s:
            self._seen.popitem(last=False)
        if key in self._seen:
            raise E2eeReplayDetected("this request was here before")
        if len(self._seen) >= MAX_REMEMBERED:
            raise TooBusy("too many encrypted requests in this window")
        self._seen[key] = now_s


class Gate:
    """Opens requests; its keys are drawn here, at the start, and never leave."""

    def __init__(self, now_s: Callable[[], int]) -> None:
        self._keys: tuple[PrivateKey, ...] = tuple(fresh_key(algo) for algo in ALGORITHMS)
        self._replays, self._now_s = Replays(now_s), now_s

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        """As the keyset lists them."""
        return tuple(
            PublicKey(f"e2ee-{key.public.hex()[-16:]}", key.algo, key.public.hex())
            for key in self._keys
        )

    @staticmethod
    def is_encrypted(headers: Mapping[str, str]) -> bool:
        """Whether a request has any header of the protocol."""
        return any(name in headers for name in HEADERS)

    def open(
        self, endpoint: str, headers: Mapping[str, str], untrusted: bytes
    ) -> tuple[bytes, Channel]:
        """
        Open a request.

        Parameters
        ----------
        endpoint : `str`
            The route's path.
        headers : mapping
            By lower-case name.
        untrusted : `bytes`
            The body off the wire.

        Returns
        -------
        body : `bytes`
            Compact JSON with its fields in plain.
        channel : `Channel`
            To seal the answer with.

        Raises
        ------
        E2eeRefused
            One of the ten; see each class.
        TooBusy
            The table of replays is full.
        """
        missing = [name for name in HEADERS if name not in headers]
        if missing:
            raise E2eeHeaderMissing(f"{missing[0]} is missing")
        version, client_hex, service_hex, nonce, ts_text = (headers[name] for name in HEADERS)
        if version != VERSION:
            raise E2eeInvalidVersion(f"only version {VERSION} is spoken here")
        key = self._key_of(service_hex)
        client = read_public_key(key.algo, client_hex)
        if not _NONCE.fullmatch(nonce):
            raise E2eeInvalidNonce("a nonce is 64 hex digits")
        if not _TIMESTAMP.fullmatch(ts_text) or abs(self._now_s() - int(ts_text)) > SKEW_S:
            raise E2eeInvalidTimestamp(f"the time is not within {SKEW_S} s of the service's")
        document = _object(untrusted)
        model = document.get("model")
        if not isinstance(model, str):
            raise E2eeInvalidPayloadModel("the request names no model")
        ts = int(ts_text)

        def opened(field: str, text: str) -> str:
            aad = request_aad(key.algo, model, field, nonce, ts)
            return _text(unseal(key, text, aad))

        if open_request(endpoint, document, opened) == 0:
            raise E2eeDecryptionFailed("no field is encrypted")
        # Only now: nobody fills the table without having encrypted anything.
        self._replays.claim((client, key.public, bytes.fromhex(nonce)))
        return compact(document), Channel(key.algo, client, nonce, ts, model)

    def _key_of(self, untrusted: str) -> PrivateKey:
        wanted = untrusted.lower().removeprefix("0x")
        for key in self._keys:
            public = key.public.hex()
            # The point of secp256k1 may come without the byte that says it is whole.
            if wanted in (public, public.removeprefix("04") if len(key.public) > 32 else public):
                return key
        raise E2eeModelKeyMismatch("the keyset lists no such key")


def _object(untrusted: bytes) -> dict[str, Any]:
    try:
        found = json.loads(untrusted)
    except (ValueError, RecursionError) as error:
        raise E2eeDecryptionFailed("the body is not JSON") from error
    if not isinstance(found, dict):
        raise E2eeDecryptionFailed("the body is not a JSON object")
    return found


def _text(plaintext: bytes) -> str:
    try:
        return plaintext.decode()
    except UnicodeDecodeError as error:
        raise E2eeDecryptionFailed("a field is not text") from error
