//! Why the state refuses.

use thiserror::Error;

/// Why the state could not be read or changed. Whatever returns one has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// The version is above the latest one, or was pruned.
    #[error("version {version} is not kept (oldest {oldest}, latest {latest})")]
    UnknownVersion {
        /// Version asked for.
        version: u64,
        /// Oldest version kept.
        oldest: u64,
        /// Latest version.
        latest: u64,
    },
    /// Versions are made one after the other, without gaps.
    #[error("version {got} cannot be made, {expected} is next")]
    WrongVersion {
        /// Version the caller wanted to make.
        got: u64,
        /// The only version that can be made now.
        expected: u64,
    },
    /// The changes were staged on another state than the latest one.
    #[error("staged on a state that is no longer the latest")]
    StaleParent,
    /// The version on this disk is not the state that the caller knows by its root.
    #[error("version {version} has another root than the one asked for")]
    WrongRoot {
        /// Version asked for.
        version: u64,
    },
    /// Applying the diff gives another root than promised.
    #[error("diff gives another root than expected")]
    RootMismatch,
    /// The bytes are not a canonical diff: why.
    #[error("malformed diff: {0}")]
    MalformedDiff(&'static str),
    /// A key is empty or longer than [`crate::tree::MAX_KEY_BYTES`], or a value is too long.
    #[error("key or value has a length that cannot be stored")]
    BadLength,
    /// The proof does not decode, does not give the root, or says nothing about the key.
    #[error("invalid proof: {0}")]
    InvalidProof(&'static str),
    /// What is on disk is not what the tree says must be there.
    #[error("state is corrupt: {0}")]
    Corrupt(String),
    /// The database or the file system failed.
    #[error("state database: {0}")]
    Database(String),
}
