//! Why a proof is not believed.

use super::cbor::Malformed;
use crate::header::TimeOutOfRange;

/// The classes of `shared/rules/light_client.py`, which say what each means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the door documents them")]
pub enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    NumberOutOfRange(String),
    #[error("chain '{}', expected '{}'", .got.escape_debug(), .expected.escape_debug())]
    OtherChain { got: String, expected: String },
    #[error("height {got}, {trusted} is trusted already")]
    OldHeight { got: u64, trusted: u64 },
    #[error("time {got} ns follows {trusted} ns")]
    TimeNotRising { got: u64, trusted: u64 },
    #[error("the commit is not for the header of height {0}")]
    WrongCommit(u64),
    #[error("{0}")]
    WrongValidators(&'static str),
    #[error("power {power} of {total}, needed over {}/{}", .share.0, .share.1)]
    TooLittlePower { power: u128, total: u128, share: (u128, u128) },
    #[error("{0}")]
    BadCommitSignature(String),
    #[error("{0}")]
    WrongStateRoot(String),
    #[error("{0}")]
    WrongStateValues(String),
    #[error("two headers of height {0}")]
    ConflictingHeader(u64),
    #[error("the network has no dev controls, so its chain only goes forward")]
    RewindForbidden,
    #[error("incarnation {got}, {seen} was seen already")]
    OldIncarnation { got: u32, seen: u32 },
    #[error("the proof does not tell where incarnation {0} began")]
    UnprovenRewind(u32),
}

impl Refusal {
    /// Name of its class in Python.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Cbor(_)) => "MalformedCbor",
            Self::Malformed(Malformed::Record(_)) => "MalformedRecord",
            Self::NumberOutOfRange(_) => "NumberOutOfRange",
            Self::OtherChain { .. } => "OtherChain",
            Self::OldHeight { .. } => "OldHeight",
            Self::TimeNotRising { .. } => "TimeNotRising",
            Self::WrongCommit(_) => "WrongCommit",
            Self::WrongValidators(_) => "WrongValidators",
            Self::TooLittlePower { .. } => "TooLittlePower",
            Self::BadCommitSignature(_) => "BadCommitSignature",
            Self::WrongStateRoot(_) => "WrongStateRoot",
            Self::WrongStateValues(_) => "WrongStateValues",
            Self::ConflictingHeader(_) => "ConflictingHeader",
            Self::RewindForbidden => "RewindForbidden",
            Self::OldIncarnation { .. } => "OldIncarnation",
            Self::UnprovenRewind(_) => "UnprovenRewind",
        }
    }
}

impl From<TimeOutOfRange> for Refusal {
    fn from(error: TimeOutOfRange) -> Self {
        Self::NumberOutOfRange(error.to_string())
    }
}
