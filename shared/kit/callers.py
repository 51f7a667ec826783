"""
Who is at the other end of a connection, and how both ends prove it.

Each end draws a nonce and signs both nonces and both keys, with its node key, under a context of
its own: a signature is of no use on another connection, nor towards another node. A client that
proves nothing is a stranger, and gets what is public.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from shared.crypto.signing import Signer, register_context, verify_signature
from shared.encoding.contract import Access
from shared.encoding.record import Bytes32, encode_record
from shared.errors import PeerUnavailable
from shared.kit.dev_controls import DevTokenWrong

SERVER_PROOF = register_context("qanat/transport: server of a connection")
CLIENT_PROOF = register_context("qanat/transport: client of a connection")
NOBODY = bytes(32)
"""Stands for the key of an end that proves none."""

Admits = Callable[[bytes], bool]
"""Says whether a node key is of a registered node that may ask what is for peers."""


class NotAdmitted(PeerUnavailable, module="peer", code=5):
    """Only registered nodes may ask this; who has just registered may try again."""


class WrongServer(PeerUnavailable, module="peer", code=6):
    """Another node answers at this address, or one that cannot prove its key."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What both ends sign."""

    client_nonce: Bytes32
    server_nonce: Bytes32
    client_key: Bytes32
    server_key: Bytes32

    def prove_server(self, signer: Signer) -> bytes:
        """Sign as the server."""
        return signer.sign(SERVER_PROOF.anywhere(), encode_record(self))

    def verify_server(self, signature: bytes) -> None:
        """Verify the server's signature, or raise `BadSignature`."""
        verify_signature(self.server_key, SERVER_PROOF.anywhere(), encode_record(self), signature)

    def prove_client(self, signer: Signer) -> bytes:
        """Sign as the client."""
        return signer.sign(CLIENT_PROOF.anywhere(), encode_record(self))

    def verify_client(self, signature: bytes) -> None:
        """Verify the client's signature, or raise `BadSignature`."""
        verify_signature(self.client_key, CLIENT_PROOF.anywhere(), encode_record(self), signature)


def new_nonce() -> bytes:
    """Draw a nonce, 32 bytes; the system's, also in a network made from a seed: it is no key."""
    return secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks on a connection."""

    node_key: bytes | None = None
    """Key that was proven; None of a stranger."""
    has_dev_token: bool = False

    def verify_may(self, access: Access, method: str, *, admits: Admits, knows: Admits) -> None:
        """Verify that the caller may ask a method, or raise `NotAdmitted` or `DevTokenWrong`."""
        match access:
            case Access.PUBLIC:
                return
            case Access.PEERS:
                if self.node_key is None or not admits(self.node_key):
                    raise NotAdmitted(f"{method} is for registered nodes, which prove their key")
            case Access.KNOWN:
                if self.node_key is None or not knows(self.node_key):
                    raise NotAdmitted(f"{method} is for this network's nodes, which prove a key")
            case Access.DEV_CONTROL:
                if not self.has_dev_token:
                    raise DevTokenWrong(f"{method} is a dev control: it needs the network's token")


STRANGER = Caller()
