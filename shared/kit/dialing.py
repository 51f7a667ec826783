"""The client's side of a connection's first moment: an HTTP/1.1 `Upgrade`, and proofs of keys."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from shared.crypto.signing import BadSignature, Signer
from shared.errors import PeerUnavailable, QanatError
from shared.kit.callers import NOBODY, Transcript, WrongServer, new_nonce
from shared.kit.dev_controls import bearer
from shared.kit.heads import Head, HeadReader, encode_head

FRAMES_PATH = "/v1/frames"
PROTOCOL = "qanat-frames"
NODE, NONCE, SIGNATURE = "qanat-node", "qanat-nonce", "qanat-signature"
FRAME_BYTES = "qanat-frame-bytes"
"""Largest frame that the server takes of this client [bytes]."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves of itself."""

    signer: Signer | None = None
    """Its node key; None of a client that is no node."""
    dev_token: str | None = field(default=None, repr=False)
    """Opens dev controls."""


ANONYMOUS = Credentials()
"""Of a client that proves nothing."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What the server's answer says."""

    client_proof: bytes | None
    """What the client must send first; None of a client without a key."""
    frame_bytes: int


class Dialogue:
    """One request for an upgrade, and the judgement of its answer."""

    def __init__(
        self,
        peer: str,
        address: str,
        credentials: Credentials,
        expected: frozenset[bytes] | None,
    ) -> None:
        """`expected` are keys of which the server must prove one; None believes the address."""
        self._peer, self._credentials, self._expected = peer, credentials, expected
        self._nonce = new_nonce()
        signer = credentials.signer
        self._key = NOBODY if signer is None else signer.public_key
        fields = {"Host": address, "Connection": "Upgrade", "Upgrade": PROTOCOL}
        if signer is not None or expected is not None:
            fields |= {"Qanat-Node": self._key.hex(), "Qanat-Nonce": self._nonce.hex()}
        self.request = encode_head(
            f"GET {FRAMES_PATH} HTTP/1.1", fields | bearer(credentials.dev_token)
        )

    def judge(self, head: Head) -> Granted:
        """
        Judge the answer.

        Raises
        ------
        PeerUnavailable
            The server does not speak frames, or not with this client.
        WrongServer
            It does not prove a key that is expected.
        """
        if head.first_line.split(" ")[1:2] != ["101"] or head.fields.get("upgrade") != PROTOCOL:
            raise PeerUnavailable(f"{self._peer} answers {head.first_line!r} and speaks no frames")
        try:
            frame_bytes = int(head.fields[FRAME_BYTES])
            if self._expected is None and self._credentials.signer is None:
                return Granted(None, frame_bytes)
            transcript = Transcript(
                self._nonce,
                bytes.fromhex(head.fields[NONCE]),
                self._key,
                bytes.fromhex(head.fields[NODE]),
            )
            if self._expected is not None:
                if transcript.server_key not in self._expected:
                    raise WrongServer(
                        f"{transcript.server_key.hex()} answers in place of {self._peer}"
                    )
                transcript.verify_server(bytes.fromhex(head.fields[SIGNATURE]))
        except (KeyError, ValueError, BadSignature) as error:
            raise WrongServer(f"{self._peer} does not prove its key: {error}") from error
        signer = self._credentials.signer
        proof = None if signer is None else transcript.prove_client(signer)
        return Granted(proof, frame_bytes)


P = TypeVar("P", bound=asyncio.Protocol)


class Dialing(asyncio.Protocol, Generic[P]):
    """Speaks the dialogue, then hands the connection on to the protocol that it was for."""

    def __init__(self, dialogue: Dialogue, make: Callable[[Granted], P]) -> None:
        self._dialogue, self._make = dialogue, make
        self._reader = HeadReader()
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[P] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        transport.write(self._dialogue.request)

    def data_received(self, data: bytes) -> None:
        """Read the answer; what follows it belongs to the next protocol."""
        assert self._transport is not None  # noqa: S101
        try:
            found = self._reader.feed(data)
            if found is None:
                return
            head, rest = found
            protocol = self._make(self._dialogue.judge(head))
        except QanatError as error:
            self._transport.abort()
            if not self.done.done():
                self.done.set_exception(error)
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if rest:
            protocol.data_received(rest)
        if self.done.done():
            # Nobody waits any more: the attempt timed out.
            self._transport.abort()
        else:
            self.done.set_result(protocol)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that there was no answer."""
        if not self.done.done():
            reason = "the connection was closed" if exc is None else str(exc)
            self.done.set_exception(PeerUnavailable(reason))
