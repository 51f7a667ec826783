//! What consensus proves: the tree of its state with proofs of entries, and the hashes and signed bytes by which
//! CometBFT names headers, validator sets, commits and lists; the signatures under them; and the light client, which
//! puts them together.
//!
//! `shared/crypto/state_tree.py`, `merkle.py` and `signing.py` there, `shared/rules/headers.py` and `light_client.py`
//! say what each of these is; they are the doors to this crate.

pub mod digest;
pub mod header;
pub mod light_client;
pub mod merkle;
pub mod protobuf;
pub mod signature;
pub mod tree;
