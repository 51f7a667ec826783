//! A chain of Ethereum's blocks on Qanat's machine and state: import from a genesis and RLP, every root checked, and
//! what may be asked of each of its blocks.
//!
//! No enclave runs it and no network agrees on it: it is how the machine is held against Ethereum's own chain, and how
//! a gateway shows a chain that somebody has in a file.

pub mod accounts;
pub mod build;
pub mod call;
pub mod chain;
pub mod failure;
pub mod genesis;
pub mod header;
pub mod ledger;
pub mod pool;
pub mod rules;
pub mod run;
pub mod shown;
pub mod simulate;

pub mod stage;
pub mod trace;
pub mod unsigned;
pub mod wanted;
pub mod words;
