"""The developer's keys: where they come from, and signing with them."""

import json
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from evm_native import ConfigError, recover_signer, sign_digest

from qanat.accounts import Account
from qanat.view.keystore import BadKeyFile, open_keystore
from shared.crypto.hashes import keccak256
from shared.errors import Rejected

MAX_FILE_BYTES = 1024 * 1024
MESSAGE_PREFIX = b"\x19Ethereum Signed Message:\n"
"""Source: EIP-191, version `E`."""


class UnknownAccount(Rejected, module="view", code=3):
    """No key of this address is held here."""


class Keyring:
    """Keys by address. Shows none."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Take keys of 32 bytes; raises `BadKeyFile` for what is none."""
        self._secrets = {_address_of(secret): secret for secret in secrets}

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """In the order in which the keys came."""
        return tuple(self._secrets)

    def __contains__(self, address: bytes | None) -> bool:
        """Say whether an address is one of ours."""
        return address in self._secrets

    def secret_of(self, address: bytes) -> bytes:
        """Give a key, or raise `UnknownAccount`."""
        secret = self._secrets.get(address)
        if secret is None:
            raise UnknownAccount(
                f"unknown account 0x{address.hex()}: `qanat view` holds no key of it (--key-file)"
            )
        return secret

    def sign_message(self, address: bytes, message: bytes) -> bytes:
        """Sign a message as a person's, r ‖ s ‖ v with v 27 or 28."""
        return self.sign(address, keccak256(MESSAGE_PREFIX + b"%d" % len(message) + message))

    def sign(self, address: bytes, digest: bytes) -> bytes:
        """Sign a digest, r ‖ s ‖ v with v 27 or 28."""
        signature = sign_digest(self.secret_of(address), digest)
        return signature[:64] + bytes([27 + signature[64]])


def _address_of(secret: bytes) -> bytes:
    digest = bytes(31) + b"\1"
    try:
        return recover_signer(digest, sign_digest(secret, digest))
    except ConfigError:
        raise BadKeyFile("it is no key of an Ethereum account") from None


def keys_of(accounts: Iterable[Account]) -> list[bytes]:
    """Give the keys of accounts that everybody knows."""
    return [bytes.fromhex(one.private_key[2:]) for one in accounts if one.private_key]


def read_key_file(path: Path, ask_password: Callable[[str], str]) -> list[bytes]:
    """
    Read a file of keys: an encrypted keystore in JSON, or one key in hex a line.

    Parameters
    ----------
    path : `Path`
        Which others than its owner cannot read where it holds keys in plain.
    ask_password : callable
        Gives the password of a keystore; it gets the file's name.

    Raises
    ------
    BadKeyFile
        It cannot be read, or everybody can.
    """
    try:
        with path.open("rb") as file:
            mode, raw = path.stat().st_mode, file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadKeyFile(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise BadKeyFile(f"{path}: a file of keys has at most {MAX_FILE_BYTES} bytes")
    try:
        return _read_keys(raw, mode, lambda: ask_password(path.name))
    except BadKeyFile as error:
        # Never what stands in it.
        raise BadKeyFile(f"{path}: {error.message}") from None


def _read_keys(raw: bytes, mode: int, ask_password: Callable[[], str]) -> list[bytes]:
    text = raw.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return [open_keystore(_object(text), ask_password())]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadKeyFile("others can read it: chmod 600, or make it a keystore")
    return _read_lines(text)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not dict:
        raise BadKeyFile("it is no JSON object")
    return value


def _read_lines(text: str) -> list[bytes]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        digits = line.partition("#")[0].strip().removeprefix("0x")
        if not digits:
            continue
        try:
            secret = bytes.fromhex(digits)
        except ValueError:
            secret = b""
        if len(secret) != 32:
            raise BadKeyFile(f"line {number} is no key of 32 bytes in hex")
        found.append(secret)
    if not found:
        raise BadKeyFile("no key is in it")
    return found
