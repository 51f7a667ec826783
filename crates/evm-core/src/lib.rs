//! The execution core of Qanat. Pure Rust: knows no Python, no network, no clock.
//!
//! Bottom up: [`crypto`], then what clients send ([`envelope`], [`signed_query`]) and the random bytes contracts
//! ask for ([`rng`]); over them the EVM ([`context`], [`precompiles`], [`machine`]) on a [`database`] over
//! `state_core`, and the [`engine`] that makes a version from a batch.

pub mod attested;
pub mod calldata;
pub mod code_cache;
pub mod config;
pub mod context;
pub mod contract_keys;
pub mod crypto;
pub mod database;
pub mod dev_transaction;
pub mod engine;
pub mod envelope;
pub mod environment;
pub mod errors;
pub mod failure;
pub mod fees;
pub mod genesis;
pub mod keys;
pub mod layout;
pub mod machine;
pub mod merkle;
pub mod modules;
pub mod multisig;
pub mod precompiles;
pub mod refusals;
pub mod results;
pub mod rng;
pub mod sdk_transaction;
pub mod signature;
pub mod signed_query;
pub mod subcall;
pub mod tracing;
pub mod transaction;
