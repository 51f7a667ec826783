//! Calldata envelopes.
#![allow(unused_variables, missing_docs)]
use crate::errors::ModuleError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Ordinary calldata, no envelope.
    Plain(Vec<u8>),
    /// Format 0: calldata inside CBOR, nothing encrypted.
    Format0 { data: Vec<u8>, read_only: bool },
    /// Format 1.
    Encrypted(Sealed),
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub public_key: [u8; 32],
    pub nonce: [u8; 15],
    /// 0: not given.
    pub epoch: u64,
    pub data: Vec<u8>,
    pub read_only: bool,
}
/// Errors are `core` 18 `invalid call format: ...`.
pub fn parse(data: &[u8]) -> Result<Envelope, ModuleError> {
    unimplemented!()
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub data: Vec<u8>,
    /// Seals the result.
    pub key: [u8; 32],
}
/// `secret_of(epoch)` gives the X25519 secret of an epoch, None if not held.
pub fn open(
    sealed: &Sealed,
    current_epoch: u64,
    secret_of: &dyn Fn(u64) -> Option<[u8; 32]>,
) -> Result<Opened, ModuleError> {
    unimplemented!()
}
/// `{ok: {data, nonce}}`, data = sealed `{ok: output}`.
pub fn seal_ok(key: &[u8; 32], nonce: &[u8; 15], output: &[u8]) -> Vec<u8> {
    unimplemented!()
}
/// `{ok: {data, nonce}}`, data = sealed `{fail: {code, module, message}}`.
pub fn seal_fail(key: &[u8; 32], nonce: &[u8; 15], error: &ModuleError) -> Vec<u8> {
    unimplemented!()
}
