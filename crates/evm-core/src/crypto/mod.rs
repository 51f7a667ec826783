//! Cryptography of Sapphire clients and precompiles.
#![allow(unused_variables, missing_docs)]
use thiserror::Error;

/// Key of Deoxys-II-256-128 [bytes].
pub const KEY_BYTES: usize = 32;
/// Nonce [bytes].
pub const NONCE_BYTES: usize = 15;
/// Tag [bytes].
pub const TAG_BYTES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Tag verification failed")]
pub struct InvalidTag;

/// A key with its schedule: reuse it where many small messages are sealed under one key.
#[derive(Clone)]
pub struct Deoxys {}
impl Deoxys {
    pub fn new(key: &[u8; 32]) -> Self {
        unimplemented!()
    }
    pub fn seal(&self, nonce: &[u8; 15], message: &[u8], ad: &[u8]) -> Vec<u8> {
        unimplemented!()
    }
    pub fn open(&self, nonce: &[u8; 15], sealed: &[u8], ad: &[u8]) -> Result<Vec<u8>, InvalidTag> {
        unimplemented!()
    }
}
pub fn deoxysii_seal(key: &[u8; 32], nonce: &[u8; 15], message: &[u8], ad: &[u8]) -> Vec<u8> {
    unimplemented!()
}
pub fn deoxysii_open(
    key: &[u8; 32],
    nonce: &[u8; 15],
    sealed: &[u8],
    ad: &[u8],
) -> Result<Vec<u8>, InvalidTag> {
    unimplemented!()
}
pub fn mrae_key(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    unimplemented!()
}
pub fn x25519_public(secret: &[u8; 32]) -> [u8; 32] {
    unimplemented!()
}
pub fn sha512_256(parts: &[&[u8]]) -> [u8; 32] {
    unimplemented!()
}
pub fn hmac_sha512_256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    unimplemented!()
}

/// ids 0..=8 of the sign/verify/keypair precompiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Ed25519Oasis,
    Ed25519Pure,
    Ed25519PrehashedSha512,
    Secp256k1Oasis,
    Secp256k1PrehashedKeccak256,
    Secp256k1PrehashedSha256,
    Sr25519Pure,
    Secp256r1PrehashedSha256,
    Secp384r1PrehashedSha384,
}
impl Algorithm {
    pub fn from_id(id: u64) -> Option<Self> {
        unimplemented!()
    }
    pub fn is_prehashed(self) -> bool {
        unimplemented!()
    }
}
/// The precompile call fails and takes all its gas: the text says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SignatureError(pub &'static str);

pub fn keypair(algorithm: Algorithm, seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SignatureError> {
    unimplemented!()
}
pub fn sign(
    algorithm: Algorithm,
    secret: &[u8],
    context_or_hash: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, SignatureError> {
    unimplemented!()
}
/// Ok(false): wrong signature or hash length. Err: unreadable public key, misuse of arguments.
pub fn verify(
    algorithm: Algorithm,
    public: &[u8],
    context_or_hash: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, SignatureError> {
    unimplemented!()
}
