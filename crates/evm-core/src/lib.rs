//! The execution core of Qanat. Pure Rust: knows no Python, no network, no clock.
//!
//! Bottom up: [`cbor`] and [`crypto`], then the authenticated state ([`tree`], [`store`]), then what
//! clients send ([`envelope`], [`signed_query`]) and the random bytes contracts ask for ([`rng`]).

pub mod cbor;
pub mod crypto;
pub mod envelope;
pub mod errors;
pub mod rng;
pub mod signed_query;
pub mod store;
pub mod tree;
