//! Signatures in a context: what transactions of the SDK's format carry, in the scheme of each key.
//!
//! Source: oasis-sdk `runtime-sdk/src/crypto/signature/{mod,sr25519,secp256r1,secp384r1}.rs` @ 00da39c, `verify`; and
//! `client-sdk/go/crypto/signature/sr25519` for how Sr25519 keys sign, since upstream's own signer in Rust makes what its
//! `verify` refuses.

use sha2::{Digest, Sha384};

use super::{Result, ecdsa, ed25519, sr25519};
use crate::crypto::sha512_256;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Over SHA-512/256(context ‖ message).
    Ed25519,
    /// ECDSA, DER, over SHA-512/256(context ‖ message).
    Secp256k1,
    /// ECDSA, DER, over SHA-512/256(context ‖ message).
    Secp256r1,
    /// ECDSA, DER, over SHA-384(context ‖ message).
    Secp384r1,
    /// Schnorrkel in a signing context, over SHA-512/256(message).
    Sr25519,
}

impl Scheme {
    const ALL: [Self; 5] = [Self::Ed25519, Self::Secp256k1, Self::Secp256r1, Self::Secp384r1, Self::Sr25519];

    /// The scheme of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// How public keys name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::Secp256r1 => "secp256r1",
            Self::Secp384r1 => "secp384r1",
            Self::Sr25519 => "sr25519",
        }
    }
}

/// Sign a message in a context; deterministic, as [`sign`](super::sign).
///
/// # Errors
/// The private key is not one.
pub fn sign_separated(scheme: Scheme, secret: &[u8], context: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    match scheme {
        Scheme::Ed25519 => ed25519::sign(secret, &sha512_256(&[context, message])),
        Scheme::Secp256k1 => ecdsa::secp256k1_sign(secret, &sha512_256(&[context, message])),
        Scheme::Secp256r1 => ecdsa::secp256r1_sign(secret, &sha512_256(&[context, message])),
        Scheme::Secp384r1 => ecdsa::secp384r1_sign(secret, &sha384(context, message)),
        Scheme::Sr25519 => sr25519::sign_hash(secret, context, &sha512_256(&[message])),
    }
}

/// Whether a signature is right.
///
/// # Errors
/// The public key cannot be read.
pub fn verify_separated(
    scheme: Scheme,
    public: &[u8],
    context: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool> {
    match scheme {
        Scheme::Ed25519 => ed25519::verify(public, &sha512_256(&[context, message]), signature),
        Scheme::Secp256k1 => ecdsa::secp256k1_verify(public, &sha512_256(&[context, message]), signature),
        Scheme::Secp256r1 => ecdsa::secp256r1_verify(public, &sha512_256(&[context, message]), signature),
        Scheme::Secp384r1 => ecdsa::secp384r1_verify(public, &sha384(context, message), signature),
        Scheme::Sr25519 => sr25519::verify_hash(public, context, &sha512_256(&[message]), signature),
    }
}

fn sha384(context: &[u8], message: &[u8]) -> [u8; 48] {
    Sha384::new().chain_update(context).chain_update(message).finalize().into()
}
