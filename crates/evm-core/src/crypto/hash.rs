//! SHA-512/256, the NIST variant with its own initial value (not SHA-512 cut in half), and HMAC over it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha512_256};

/// Hash of the parts, one behind the other.
pub fn sha512_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha512_256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// HMAC of the parts, one behind the other.
pub fn hmac_sha512_256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha512_256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
