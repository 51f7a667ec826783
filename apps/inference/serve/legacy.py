"""
The older family of routes: `/v1/attestation/report` and `/v1/signature/{id}`.

Source: nearai/vllm-proxy @ 8267d17. Differs: each quote is fresh for its nonce, the key is one of
the app and not of a process, and hashes are of bytes seen inside alone. It has keys of its own.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from evm_native import sign_digest
from nacl.signing import SigningKey

from apps.appd import Appd
from apps.inference.documents.canonical import Document
from apps.inference.documents.keyset import statement
from apps.inference.errors import BadCompletion
from shared.crypto.hashes import keccak256

ECDSA, ED25519 = "ecdsa", "ed25519"
_KEY = "qanat.inference/legacy/1"
_ADDRESS_BYTES = 20
_PLACE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Legacy:
    """Keys of the older family."""

    appd: Appd
    ecdsa: bytes
    ed25519: SigningKey

    async def report(self, query: dict[str, str]) -> Document:
        """
        Give a report: report data are the signing address, padded to 32 bytes, and the nonce.

        Raises
        ------
        MalformedNonce, BadCompletion, AppdAway
            See each class; there is no such algorithm.
        """
        nonce, algo = query.get("nonce"), query.get("signing_algo", ECDSA)
        # Refuses what is no nonce; the statement itself is of the newer family.
        statement("", nonce)
        public, address = self._public(algo)
        challenge = bytes(_PLACE_BYTES) if nonce is None else bytes.fromhex(nonce)
        evidence = await self.appd.quote(address.ljust(_PLACE_BYTES, b"\0") + challenge)
        shown: Document = {
            "signing_address": _show(algo, address),
            "signing_algo": algo,
            "signing_public_key": public.hex(),
            "request_nonce": challenge.hex(),
            "intel_quote": evidence.quote.hex(),
            "nvidia_payload": None,
            "tee_type": "mock",
        }
        return shown | evidence.document() | {"all_attestations": [dict(shown)]}

    def signature(self, text: str, algo: str) -> Document:
        """Sign `request hash:response hash`, by EIP-191 or Ed25519, or raise `BadCompletion`."""
        _, address = self._public(algo)
        if algo == ED25519:
            signed = self.ed25519.sign(text.encode()).signature.hex()
        else:
            message = f"\x19Ethereum Signed Message:\n{len(text)}{text}".encode()
            compact = sign_digest(self.ecdsa, keccak256(message))
            # Wallets write the parity as 27 or 28.
            signed = "0x" + (compact[:64] + bytes([compact[64] % 27 + 27])).hex()
        return {
            "text": text,
            "signature": signed,
            "signing_address": _show(algo, address),
            "signing_algo": algo,
        }

    def _public(self, algo: str) -> tuple[bytes, bytes]:
        if algo == ED25519:
            public = bytes(self.ed25519.verify_key)
            return public, public
        if algo != ECDSA:
            raise BadCompletion("signing_algo is ecdsa or ed25519", "signing_algo")
        key = ec.derive_private_key(int.from_bytes(self.ecdsa, "big"), ec.SECP256K1())
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return public, keccak256(public[1:])[-_ADDRESS_BYTES:]


async def make_legacy(appd: Appd) -> Legacy:
    """Take keys of the daemon, or raise `AppdAway`."""
    return Legacy(
        appd,
        await appd.derive(_KEY, "secp256k1"),
        SigningKey(await appd.derive(_KEY, "ed25519")),
    )


def _show(algo: str, address: bytes) -> str:
    return f"0x{address.hex()}" if algo == ECDSA else address.hex()
