//! SHA-512/256, the NIST variant with its own initial value (not SHA-512 cut in half), HMAC over it, and cSHAKE256.

use cshake::{
    CShake256,
    digest::{self, ExtendableOutput, XofReader},
};
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

/// Fill `output` from a message. `name` is NIST's name of a function that is built on cSHAKE, `custom` the caller's own.
/// Source: NIST SP 800-185, section 3.
pub fn cshake256(message: &[u8], name: &[u8], custom: &[u8], output: &mut [u8]) {
    let mut state = CShake256::new_with_function_name(name, custom);
    digest::Update::update(&mut state, message);
    state.finalize_xof().read(output);
}
