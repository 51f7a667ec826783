//! A round that is over, run again to see what its transactions did.

use alloy_primitives::B256;

use super::Engine;
use crate::{
    environment::Environment,
    failure::EngineError,
    genesis::GenesisAccount,
    tracing::{
        Budget, Limits, Onlooker, Style, not_replayed,
        render::{Place, render},
    },
    transaction::hash_of,
};

/// One transaction of a round, seen again.
pub struct Replayed {
    /// Its result record; equal to the one of the round, if the round was this one.
    pub result: Vec<u8>,
    /// Trace, as JSON.
    pub trace: Vec<u8>,
}

impl Engine {
    /// Runs the transactions of a round again, on the state of its parent, and traces one of them or all.
    ///
    /// `environment` is that in which the round ran, `hash` the round's own, `genesis` what its execution was given.
    /// Where only one is wanted, the ones after it are left out of `raw` or not run. Gives what was traced.
    ///
    /// # Errors
    /// `trace` 2 to 4: the style is unknown, the trace costs more than `limits`, or the batch is not a round's.
    #[allow(clippy::too_many_arguments)]
    pub fn replay(
        &self,
        environment: &Environment,
        hash: B256,
        raw: &[&[u8]],
        genesis: &[GenesisAccount],
        wanted: Option<usize>,
        style: &Style,
        limits: Limits,
    ) -> Result<Vec<Replayed>, EngineError> {
        if wanted.is_some_and(|wanted| wanted >= raw.len()) {
            return Err(not_replayed("the batch has no such transaction"));
        }
        let budget = Budget::new(limits.recorded_bytes, limits.deadline(style)?);
        let mut round = self.begin(environment, genesis, false, Onlooker::new(budget))?;
        let mut replayed = Vec::new();
        let mut bytes_left = limits.answer_bytes;
        for (index, raw) in raw.iter().enumerate() {
            let is_wanted = wanted.is_none_or(|wanted| wanted == index);
            let mut trace = None;
            match style {
                _ if !is_wanted => round.observer().look_away(),
                Style::Storage(range) => trace = Some(range.read(round.database(), bytes_left)?),
                _ => round.observer().watch(style)?,
            }
            let is_watched = is_wanted && trace.is_none();
            let place = Place {
                hash: Some(hash_of(raw)),
                index: Some(index as u64),
                block_hash: Some(hash),
                number: Some(environment.round),
            };
            let ran = round.run_shown(raw, |machine, ended| {
                if is_watched {
                    let (onlooker, context) = machine.observed();
                    onlooker.verdict()?;
                    trace = Some(render(onlooker, context, style, ended, place, bytes_left)?);
                }
                Ok(())
            });
            round.observer().verdict()?;
            if !ran? {
                return Err(not_replayed(format!("transaction {index} cannot be in this round")));
            }
            if is_wanted {
                let trace = trace.ok_or_else(|| not_replayed("the calldata does not open: nothing was run"))?;
                bytes_left -= trace.len();
                let result = round.results().last().cloned().unwrap_or_default();
                replayed.push(Replayed { result, trace });
            }
            if wanted == Some(index) {
                break;
            }
        }
        Ok(replayed)
    }
}
