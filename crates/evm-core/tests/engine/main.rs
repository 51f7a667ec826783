//! The engine as its users see it: whole rounds, queries, traces and proofs, over a small chain.

mod confidential;
mod dev_transactions;
mod ethereum_gas;
mod hostile_state;
mod merkle;
mod observed;
mod precompiles;
mod public;
mod queries;
mod set_code;
mod simulations;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod transactions;
