"""
Messages between a worker's host and its launcher: which apps' enclaves are to run.

The host makes the socket pair over which it will speak to the enclave, and hands one end over with
the bundle in an open file, so the launcher needs no path of the host's. JSON on a socket of kind
SOCK_SEQPACKET: one message a packet, with the files that belong to it.
"""

import json
import os
import re
import socket
from dataclasses import asdict, dataclass

import orjson

from shared.encoding.values import from_wire
from shared.errors import Rejected

MAX_MESSAGE_BYTES = 4096
MAX_FILES = 2
MAX_INSTANCES = 16
"""Enclaves of one worker at a time."""
NAME = re.compile(r"[a-z0-9]{1,64}")
"""Of an instance: it becomes a folder."""


class BadInstanceMessage(Rejected, module="instances", code=1):
    """The message is none, or lacks its files."""


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Start an enclave; comes with its end of a socket pair and the bundle, in this order."""

    name: str
    appd_port: int = 0
    """Loopback port of its app daemon; 0 for the Unix socket only."""


@dataclass(frozen=True, slots=True)
class StopInstance:
    """End an enclave."""

    name: str
    forgets: bool = False
    """Whether what it kept is to be removed."""


@dataclass(frozen=True, slots=True)
class InstanceEnded:
    """An enclave is no more, or could not be started."""

    name: str
    reason: str


Message = StartInstance | StopInstance | InstanceEnded
_KINDS: dict[str, type[Message]] = {
    "start": StartInstance,
    "stop": StopInstance,
    "ended": InstanceEnded,
}


def encode_message(message: Message) -> bytes:
    """Write a message."""
    kind = next(name for name, kind in _KINDS.items() if isinstance(message, kind))
    return json.dumps({"kind": kind} | asdict(message)).encode()


def decode_message(untrusted: bytes) -> Message:
    """Read a message, or raise `BadInstanceMessage`."""
    try:
        fields = orjson.loads(untrusted)
        message: Message = from_wire(_KINDS[fields.pop("kind")], fields)
    except (ValueError, KeyError, TypeError, AttributeError, Rejected) as error:
        raise BadInstanceMessage(f"no message about an instance: {error}") from error
    if not NAME.fullmatch(message.name):
        raise BadInstanceMessage("an instance is named by small letters and digits")
    return message


def send(sock: socket.socket, message: Message, files: tuple[int, ...] = ()) -> None:
    """Send a message with its files; raises OSError where the other side is gone or full."""
    socket.send_fds(sock, [encode_message(message)], files)


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """
    Take one message and its files, which belong to the caller; None at the end.

    Raises
    ------
    BadInstanceMessage
        It is none; its files are closed.
    OSError
        There is nothing to read yet.
    """
    raw, files, flags, _ = socket.recv_fds(
        sock, MAX_MESSAGE_BYTES, MAX_FILES, socket.MSG_CMSG_CLOEXEC
    )
    try:
        if not raw:
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise BadInstanceMessage("the message is too long")
        message = decode_message(raw)
        if len(files) != (2 if isinstance(message, StartInstance) else 0):
            raise BadInstanceMessage(f"{len(files)} files came with the message")
    except Rejected:
        for file in files:
            os.close(file)
        raise
    return message, list(files)
