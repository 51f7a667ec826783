//! Random bytes for contracts.
#![allow(unused_variables, missing_docs)]

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Execute = 0,
    Check = 1,
    Simulate = 2,
    PreSchedule = 3,
}
/// One per block (or query), forked per transaction.
pub struct RootRng {}
impl RootRng {
    pub fn new(rng_key: &[u8; 32], mode: Mode) -> Self {
        unimplemented!()
    }
    pub fn fork(&self, tx_hash: &[u8; 32]) -> TransactionRng {
        unimplemented!()
    }
}
/// Stream of one transaction: the same request twice gives different bytes.
pub struct TransactionRng {}
impl TransactionRng {
    pub fn random_bytes(&mut self, length: usize, personalization: &[u8]) -> Vec<u8> {
        unimplemented!()
    }
}
