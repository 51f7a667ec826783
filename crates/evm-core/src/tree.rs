//! skeleton
/// Hash of a (sub)tree.
pub type Root = [u8; 32];
