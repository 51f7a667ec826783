//! Effects of sub-calls, undone with the frames that made them.
//!
//! How many effects stand is a slot of transient storage at an address that nobody owns: revm takes it back with the
//! frame that reverts, and forgets it with the message. What lies beyond is dropped by the next who looks.

use alloy_primitives::{Address, U256, address};
use revm::context::{ContextTr, JournalTr};
use state_core::cbor::Value;

use super::{Effect, Outgoing};
use crate::{context::SapphireContext, database::StateDatabase, failure::EngineError};

/// Where the count is kept: in the range of the precompiles, and none of them.
const COUNTER: Address = address!("0100000000000000000000000000000000ffff01");

/// Effects of the running message, with those of reverted frames at the end.
pub(crate) type Effects = Vec<Effect>;

fn count(context: &mut SapphireContext<'_>) -> usize {
    usize::try_from(context.journal_mut().tload(COUNTER, U256::ZERO)).unwrap_or(0)
}

fn push(context: &mut SapphireContext<'_>, effect: Effect) {
    let standing = count(context);
    context.chain.effects.truncate(standing);
    context.chain.effects.push(effect);
    context.journal_mut().tstore(COUNTER, U256::ZERO, U256::from(standing + 1));
}

/// Drops the effects of frames that reverted, at the end of a message.
pub(crate) fn drop_reverted(context: &mut SapphireContext<'_>) {
    let standing = count(context);
    context.chain.effects.truncate(standing);
}

/// A record as the running message sees it.
pub(crate) fn record(context: &mut SapphireContext<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
    let standing = count(context);
    let written = context.chain.effects[..standing].iter().rev().find_map(|effect| match effect {
        Effect::Write { key: other, value } if other == key => Some(value.clone()),
        _ => None,
    });
    match written {
        Some(value) => Ok(value),
        None => context.journal_mut().db_mut().record(key),
    }
}

/// Writes a record, or removes it.
pub(crate) fn write(context: &mut SapphireContext<'_>, key: Vec<u8>, value: Option<Vec<u8>>) {
    push(context, Effect::Write { key, value });
}

/// Tells consensus something; false where the round has no room for another message.
pub(crate) fn emit(context: &mut SapphireContext<'_>, outgoing: Outgoing) -> bool {
    let standing = count(context);
    let own = context.chain.effects[..standing].iter().filter(|effect| matches!(effect, Effect::Message(_))).count();
    let earlier = context.journal_mut().db_mut().outgoing().len();
    if own + earlier >= MAX_MESSAGES {
        return false;
    }
    push(context, Effect::Message(outgoing));
    true
}

/// Tells of something that happened.
pub(crate) fn tell(context: &mut SapphireContext<'_>, kind: (&'static str, u32), value: Value) {
    push(context, Effect::Event { kind, value });
}

/// Bytes that effects write to the tree.
pub(crate) fn written_bytes(effects: &Effects) -> u64 {
    let of = |effect: &Effect| match effect {
        Effect::Write { key, value } => key.len() + value.as_ref().map_or(0, Vec::len),
        Effect::Message(_) | Effect::Event { .. } => 0,
    };
    effects.iter().map(|effect| of(effect) as u64).sum()
}

/// Messages of one round. Source: oasis-core, `max_messages` of Sapphire's descriptor.
pub(crate) const MAX_MESSAGES: usize = 32;

impl StateDatabase<'_> {
    /// Takes over the effects of a message that counts.
    pub(crate) fn apply_effects(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Write { key, value } => self.write_record(key, value),
                Effect::Message(outgoing) => self.push_outgoing(outgoing),
                Effect::Event { .. } => {}
            }
        }
    }
}
