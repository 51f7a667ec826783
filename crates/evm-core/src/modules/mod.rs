//! Runtime modules beside the EVM: what contracts reach by sub-calls, over records of the same state.
//!
//! What a sub-call does to records, and what it tells consensus, is an [`Effect`]: kept aside while the message runs,
//! taken back with the frame that reverts, taken over with the message that counts.

pub mod consensus;
mod inbox;
mod journal;
mod listing;
mod reading;
pub mod rofl;
pub(crate) mod stake;

pub(crate) use self::consensus::PENDING_KEY;
pub use self::inbox::{Inbox, process};
pub(crate) use self::journal::{Effects, MAX_MESSAGES, drop_reverted, emit, record, tell, write, written_bytes};
pub(crate) use self::listing::list;

use state_core::cbor::Value;

/// What a sub-call leaves behind when its message counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A record of a module is another, or none.
    Write {
        /// Where.
        key: Vec<u8>,
        /// What.
        value: Option<Vec<u8>>,
    },
    /// Something happened that the record of the transaction tells.
    Event {
        /// Module and code within it.
        kind: (&'static str, u32),
        /// What.
        value: Value,
    },
    /// Consensus is asked for something; how it went is told in a later round.
    Message(Outgoing),
}

/// A message to consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// CBOR of the message, as consensus reads it.
    pub message: Vec<u8>,
    /// What the module needs when the answer comes.
    pub pending: Value,
}
