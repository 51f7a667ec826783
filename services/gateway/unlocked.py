"""
Keys of the network's test accounts, which everybody knows, and signing with them.

The launcher writes them where the network has dev controls and is funded by the mnemonic of its
network file; keys that a developer brought along are none of a gateway's.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from evm_native import ConfigError, recover_signer, sign_digest

from shared.crypto.hashes import keccak256
from shared.errors import Rejected

UNLOCKED_FILE = "unlocked-keys.json"
MESSAGE_PREFIX = b"\x19Ethereum Signed Message:\n"
"""Source: EIP-191, version `E`."""


class BadUnlockedKeys(Rejected, module="gateway", code=13):
    """The file of the test accounts' keys is none."""


class AccountLocked(Rejected, module="gateway", code=14):
    """The gateway has no key of the account."""


class UnlockedAccounts:
    """Keys by address. Shows none."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        """Take keys of 32 bytes; raises `BadUnlockedKeys` for what is none."""
        self._secrets = {_address_of(secret): secret for secret in secrets}

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """In the order of the file."""
        return tuple(self._secrets)

    def __contains__(self, address: bytes) -> bool:
        """Say whether an account is unlocked."""
        return address in self._secrets

    def secret_of(self, address: bytes) -> bytes:
        """Give a key, or raise `AccountLocked`."""
        secret = self._secrets.get(address)
        if secret is None:
            raise AccountLocked(
                f"unknown account 0x{address.hex()}: unlocked are the network's test accounts, and "
                "who is impersonated"
            )
        return secret

    def sign_digest(self, address: bytes, digest: bytes) -> bytes:
        """Sign a hash, r ‖ s ‖ v with v 27 or 28; raises `AccountLocked`."""
        signature = sign_digest(self.secret_of(address), digest)
        return signature[:64] + bytes([27 + signature[64]])

    def sign_message(self, address: bytes, message: bytes) -> bytes:
        """Sign a message as a person's; raises `AccountLocked`."""
        digest = keccak256(MESSAGE_PREFIX + b"%d" % len(message) + message)
        return self.sign_digest(address, digest)


def load_unlocked(data_dir: Path) -> UnlockedAccounts:
    """Read the keys of a gateway's directory, none where there is no file."""
    path = data_dir / UNLOCKED_FILE
    try:
        texts = json.loads(path.read_text())
        return UnlockedAccounts(bytes.fromhex(text.removeprefix("0x")) for text in texts)
    except FileNotFoundError:
        return UnlockedAccounts()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        # The text of the error might quote a key, so only its kind is told.
        raise BadUnlockedKeys(f"{path} is no list of keys: {type(error).__name__}") from None


def _address_of(secret: bytes) -> bytes:
    digest = bytes(31) + b"\1"
    try:
        return recover_signer(digest, sign_digest(secret, digest))
    except ConfigError:
        raise BadUnlockedKeys("it is no key of an Ethereum account") from None
