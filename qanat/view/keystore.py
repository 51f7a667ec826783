"""
Encrypted key files, as geth, cast and MetaMask write them (Web3 secret storage, version 3).

Source: https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage
"""

import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from shared.crypto.hashes import keccak256
from shared.errors import Rejected

VERSION = 3
KEY_BYTES = 32
MAX_SCRYPT_BYTES = 1024**3
"""Memory that a file may ask for; geth's own files ask for 256 MiB."""
OPENSSL_MAX_BYTES = 2**31 - 1
MAX_ITERATIONS = 10_000_000


class BadKeyFile(Rejected, module="view", code=2):
    """A file holds no key that can be read, or the password is wrong."""


def open_keystore(untrusted: dict[str, Any], password: str) -> bytes:
    """
    Open an encrypted key; 32 bytes.

    Raises
    ------
    BadKeyFile
        The password is wrong, or the file is not of version 3 with AES-128-CTR.
    """
    try:
        return _open(untrusted, password.encode())
    except (KeyError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise BadKeyFile(f"it is no keystore of version {VERSION}: {error!r}") from None


def _open(keystore: dict[str, Any], password: bytes) -> bytes:
    crypto = keystore.get("crypto") or keystore["Crypto"]
    if keystore["version"] != VERSION or crypto["cipher"] != "aes-128-ctr":
        raise ValueError("only version 3 with aes-128-ctr is known")
    ciphertext = bytes.fromhex(crypto["ciphertext"])
    derived = _derive(crypto["kdf"], crypto["kdfparams"], password)
    if len(derived) < KEY_BYTES or len(ciphertext) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    mac = keccak256(derived[16:32] + ciphertext)
    if not hmac.compare_digest(mac, bytes.fromhex(crypto["mac"])):
        raise BadKeyFile("the password is wrong")
    start = bytes.fromhex(crypto["cipherparams"]["iv"])
    decryptor = Cipher(algorithms.AES(derived[:16]), modes.CTR(start)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def _derive(kdf: str, given: dict[str, Any], password: bytes) -> bytes:
    salt, length = bytes.fromhex(given["salt"]), int(given["dklen"])
    if not KEY_BYTES <= length <= 2 * KEY_BYTES:
        raise ValueError("dklen is 32 to 64")
    if kdf == "scrypt":
        n, r, p = int(given["n"]), int(given["r"]), int(given["p"])
        if not 0 < 128 * n * r <= MAX_SCRYPT_BYTES or not 0 < p <= 16:
            raise ValueError("scrypt asks for too much")
        return hashlib.scrypt(
            password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=OPENSSL_MAX_BYTES
        )
    if kdf != "pbkdf2" or given["prf"] != "hmac-sha256":
        raise ValueError(f"{kdf!r} is not known")
    rounds = int(given["c"])
    if not 0 < rounds <= MAX_ITERATIONS:
        raise ValueError("pbkdf2 asks for too much")
    return hashlib.pbkdf2_hmac("sha256", password, salt, rounds, length)
