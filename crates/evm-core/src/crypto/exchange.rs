//! X25519, and the symmetric key that two parties draw from it.
//!
//! Source: oasis-core `runtime/src/common/crypto/mrae/deoxysii.rs` @ f9f1fdc.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::hash::hmac_sha512_256;

const BOX_KEY: &[u8] = b"MRAE_Box_Deoxys-II-256-128";

/// Public key of a secret.
pub fn x25519_public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Deoxys-II key between a secret and somebody's public key: HMAC-SHA-512/256 of the raw shared point. Low-order
/// public keys are not refused, as upstream does not refuse them.
pub fn mrae_key(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    let shared = Zeroizing::new(x25519_dalek::x25519(*secret, *public));
    hmac_sha512_256(BOX_KEY, &[&*shared])
}
