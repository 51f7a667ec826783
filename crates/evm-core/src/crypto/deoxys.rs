//! Deoxys-II-256-128, version 1.43: authenticated encryption that survives a repeated nonce.

use std::fmt;

use deoxys::aead::inout::InOutBuf;
use deoxys::{AeadInOut, DeoxysII256, KeyInit, Nonce, Tag};
use thiserror::Error;

/// Length of a key [bytes].
pub const KEY_BYTES: usize = 32;
/// Length of a nonce [bytes].
pub const NONCE_BYTES: usize = 15;
/// By how much a sealed message is longer [bytes].
pub const TAG_BYTES: usize = 16;

/// The message was not sealed with this key, nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Tag verification failed")]
pub struct InvalidTag;

/// A key with its schedule, for many messages under one key. Wiped on drop.
pub struct Deoxys(DeoxysII256);

impl fmt::Debug for Deoxys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

impl Deoxys {
    /// Prepare a key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(DeoxysII256::new(key.into()))
    }

    /// Ciphertext with the tag behind it.
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], message: &[u8], associated: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len() + TAG_BYTES);
        sealed.extend_from_slice(message);
        let buffer = InOutBuf::from(sealed.as_mut_slice());
        let nonce: &Nonce<_> = nonce.into();
        let tag = self.0.encrypt_inout_detached(nonce, associated, buffer).expect("Deoxys-II seals any message");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// The message.
    ///
    /// # Errors
    /// [`InvalidTag`], also for what is shorter than a tag.
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], sealed: &[u8], associated: &[u8]) -> Result<Vec<u8>, InvalidTag> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(InvalidTag)?;
        let mut message = ciphertext.to_vec();
        let (nonce, tag): (&Nonce<_>, &Tag) = (nonce.into(), tag.into());
        let buffer = InOutBuf::from(message.as_mut_slice());
        self.0.decrypt_inout_detached(nonce, associated, buffer, tag).map_err(|_| InvalidTag)?;
        Ok(message)
    }
}

/// Seal one message.
pub fn deoxysii_seal(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES], message: &[u8], associated: &[u8]) -> Vec<u8> {
    Deoxys::new(key).seal(nonce, message, associated)
}

/// Open one message.
///
/// # Errors
/// [`InvalidTag`].
pub fn deoxysii_open(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    sealed: &[u8],
    associated: &[u8],
) -> Result<Vec<u8>, InvalidTag> {
    Deoxys::new(key).open(nonce, sealed, associated)
}
