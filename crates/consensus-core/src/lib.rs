//! What consensus proves: the tree of its state with proofs of entries, and the hashes and signed bytes by which
//! CometBFT names headers, validator sets, commits and lists.
//!
//! `shared/crypto/state_tree.py`, `shared/crypto/merkle.py` and `shared/rules/headers.py` say what each of these is;
//! they are the doors to this crate.

pub mod digest;
pub mod header;
pub mod merkle;
pub mod protobuf;
pub mod tree;
