//! Ed25519, verified by libsodium's rules: the equation without cofactor, R compared by its bytes, S below the group
//! order, the key canonical, and neither key nor R of small order.
//!
//! `shared/crypto/signing.py` is the door (ADR 0082).

use std::{cell::RefCell, collections::HashMap, sync::LazyLock};

use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};

/// Keys that a thread keeps decompressed, which is a tenth of a verification. Those of a network are few and come in
/// every block; strangers' make it begin anew.
const MOST_KEYS: usize = 64;

thread_local! {
    static KEYS: RefCell<HashMap<[u8; 32], VerifyingKey>> = RefCell::new(HashMap::new());
}

static SMALL_ORDER: LazyLock<[[u8; 32]; 8]> = LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().0));

/// A private key, which is wiped where it is dropped.
pub struct Signer(SigningKey);

impl Signer {
    /// The key of a seed.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs as RFC 8032 says: the same message has the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Says whether a key signed a message.
#[must_use]
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Some(key) = key_of(public) else { return false };
    let is_by_key = key.verify(message, &Signature::from_bytes(signature)).is_ok();
    // Only a canonical R can have matched, so that its bytes say which point it is.
    is_by_key && !SMALL_ORDER.iter().any(|point| signature.starts_with(point))
}

fn key_of(public: &[u8; 32]) -> Option<VerifyingKey> {
    KEYS.with_borrow_mut(|keys| {
        if let Some(key) = keys.get(public) {
            return Some(*key);
        }
        let key = read_key(public)?;
        if keys.len() == MOST_KEYS {
            keys.clear();
        }
        keys.insert(*public, key);
        Some(key)
    })
}

fn read_key(public: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(public).ok()?;
    (is_canonical(public) && !key.is_weak()).then_some(key)
}

/// Says whether the coordinate is below 2^255 - 19.
fn is_canonical(public: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = public;
    *first < 0xED || last & 0x7F != 0x7F || middle.iter().any(|&byte| byte != 0xFF)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{Scalar, constants::ED25519_BASEPOINT_POINT, edwards::EdwardsPoint};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha512};

    use super::*;

    /// A signature whose R is the identity: by S = ha for a key aB, and by S = 0 for others.
    fn forged(key: EdwardsPoint, secret: Scalar, message: &[u8]) -> ([u8; 32], [u8; 64]) {
        let (key, commitment) = (key.compress().0, EdwardsPoint::default().compress().0);
        let hash = Sha512::new().chain_update(commitment).chain_update(key).chain_update(message).finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
        assert_ne!(challenge, Scalar::ZERO);
        let response = challenge * secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice(response.as_bytes());
        (key, signature)
    }

    fn holds(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(key).unwrap().verify(message, &Signature::from_bytes(signature)).is_ok()
    }

    #[test]
    fn the_equation_alone_is_not_enough() {
        // With S = 0, R = -hA: where A has small order, some message makes R the identity.
        for point in EIGHT_TORSION {
            let mut held = 0;
            for message in 0_u8..64 {
                let (key, signature) = forged(point, Scalar::ZERO, &[message]);
                held += u8::from(holds(&key, &[message], &signature));
                assert!(!verify(&key, &[message], &signature));
            }
            assert!(held > 0, "the equation never held");
        }
    }

    #[test]
    fn a_commitment_of_small_order_is_refused() {
        // R = SB - hA is the identity.
        let secret = Scalar::from(7_u64);
        let (key, signature) = forged(ED25519_BASEPOINT_POINT * secret, secret, b"some");
        assert!(holds(&key, b"some", &signature), "the equation holds");
        assert!(!verify(&key, b"some", &signature));
    }

    #[test]
    fn coordinates_from_the_prime_on_are_not_canonical() {
        let mut public = [0xFF; 32];
        for (last, is_low) in [(0x7F, false), (0xFF, false), (0x7E, true), (0xFE, true)] {
            public[31] = last;
            for first in 0xED..=0xFF {
                public[0] = first;
                assert_eq!(is_canonical(&public), is_low);
            }
            public[0] = 0xEC;
            assert!(is_canonical(&public));
        }
        public = [0xFF; 32];
        (public[7], public[31]) = (0xFE, 0x7F);
        assert!(is_canonical(&public));
    }

    proptest! {
        #[test]
        fn signatures_verify_and_changed_ones_do_not(
            seed: [u8; 32], message: Vec<u8>, at in 0_usize..96, bit in 0_u8..8,
        ) {
            let key = Signer::new(&seed);
            let mut public = key.public_key();
            let mut signature = key.sign(&message);
            prop_assert!(verify(&public, &message, &signature));
            if at < 32 { public[at] ^= 1 << bit } else { signature[at - 32] ^= 1 << bit }
            prop_assert!(!verify(&public, &message, &signature));
        }

        #[test]
        fn many_keys_are_read_as_few(seeds in prop::collection::vec(any::<[u8; 32]>(), 1..200)) {
            for seed in seeds {
                let key = Signer::new(&seed);
                let signature = key.sign(b"some");
                for _ in 0..2 {
                    prop_assert!(verify(&key.public_key(), b"some", &signature));
                }
            }
            KEYS.with_borrow(|keys| assert!(keys.len() <= MOST_KEYS));
        }
    }
}
