//! The state of a ParaTime: a versioned key-value store under one root per round.
//!
//! Bottom up: [`cbor`], the authenticated [`tree`], the [`store`] that keeps one version a round, and [`io`], the
//! root over what a round took in and gave out. Every runtime uses it, the EVM as those in Python: nothing here
//! knows what a key or a value means.

pub mod cbor;
pub mod errors;
pub mod io;
pub mod store;
pub mod tree;
