//! Lists in answers to questions.

use state_core::{store::Snapshot, tree::Items};

use crate::failure::{CallFailure, EngineError, core};

/// Records that are read for one answer, at most.
const MAX_RECORDS: usize = 10_000;

/// All records under a prefix.
///
/// # Errors
/// [`EngineError::Call`] with `core` 22 where there are more than one answer may hold.
pub(crate) fn list(snapshot: &Snapshot, prefix: &[u8]) -> Result<Items, EngineError> {
    let found = snapshot.scan(prefix, None, MAX_RECORDS + 1)?;
    if found.len() > MAX_RECORDS {
        let refusal = core(22, "forbidden by node policy: the answer would be too long");
        return Err(EngineError::Call(CallFailure::from(refusal)));
    }
    Ok(found)
}
