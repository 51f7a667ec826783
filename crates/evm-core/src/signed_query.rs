//! Signed queries.
#![allow(unused_variables, missing_docs)]
use crate::errors::ModuleError;
use alloy_primitives::{Address, B256, U256};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leash {
    pub nonce: u64,
    pub block_number: u64,
    pub block_hash: [u8; 32],
    pub block_range: u64,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPack {
    /// CBOR of the call inside: give it to `envelope::parse`.
    pub data: Vec<u8>,
    pub leash: Leash,
    pub signature: [u8; 65],
}
/// None: the data is no signed pack.
pub fn parse(data: &[u8]) -> Option<SignedPack> {
    unimplemented!()
}
/// What the client signs besides the leash, untouched as it came by RPC.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    pub chain_id: u64,
    pub from: Address,
    pub to: Address,
    pub gas_limit: u64,
    pub gas_price: U256,
    pub value: U256,
    /// decrypted calldata
    pub data: &'a [u8],
}
pub fn digest(query: &Query<'_>, leash: &Leash) -> B256 {
    unimplemented!()
}
pub trait Chain {
    fn nonce(&self, address: Address) -> Result<u64, crate::errors::StateError>;
    /// Hash of a block in the 256-block window.
    fn block_hash(&self, number: u64) -> Result<Option<[u8; 32]>, crate::errors::StateError>;
    fn current(&self) -> u64;
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Rejected(#[from] ModuleError),
    #[error(transparent)]
    State(#[from] crate::errors::StateError),
}
/// Checks 1-6.
pub fn verify(pack: &SignedPack, query: &Query<'_>, chain: &dyn Chain) -> Result<(), QueryError> {
    unimplemented!()
}
