//! Traces: what a transaction did, step by step, in the forms that debuggers and explorers ask for.
//!
//! A transaction or call runs again under an [`Onlooker`], which records what its [`Style`] needs; [`render`] makes
//! JSON of it. The tracers are those of `revm-inspectors`. What they record, how long they run and how long the answer
//! is stays below [`Limits`], because who asks is not trusted.
//!
//! A trace of a confidential chain holds plaintext. Whether one may be made is the caller's to decide.

mod budget;
mod onlooker;
pub mod render;
mod storage;
mod transfers;

use std::{
    io,
    time::{Duration, Instant},
};

use alloy_eips::eip2930::AccessList;
use alloy_primitives::map::HashSet;
use alloy_rpc_types_trace::{geth::GethDebugTracingOptions, parity::TraceType};
use serde::{Deserialize, Serialize};

pub use self::{
    budget::Budget,
    onlooker::Onlooker,
    storage::StorageRange,
    transfers::{Placed, Transfers},
};
use crate::{
    errors::ModuleError,
    failure::{CallFailure, EngineError},
};

/// Name of the module whose errors say why there is no trace.
pub const TRACE: &str = "trace";
/// Time that a trace may take where the question names none. Source: go-ethereum `eth/tracers/api.go`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that a question may name: less than a gateway waits for an answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(8);

/// The form of a trace.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Style {
    /// go-ethereum's `debug_trace*`: tracer, its configuration, timeout.
    Geth(Box<GethDebugTracingOptions>),
    /// Parity's `trace_replay*` and `trace_call`.
    Parity(HashSet<TraceType>),
    /// Parity's flat list of frames, as `trace_transaction` has it, without their block.
    Frames,
    /// Otterscan's `ots_getInternalOperations`.
    Operations,
    /// Accounts and slots that a call touches beside these (EIP-2930).
    AccessList(AccessList),
    /// No trace, but a part of an account's storage before the transaction (`debug_storageRangeAt`).
    Storage(StorageRange),
    /// Nothing but how it ended; with `true` a log for each transfer of value (`eth_simulateV1`).
    Outcome(bool),
}

impl Style {
    /// Reads a style in JSON: `"frames"`, `{"geth": {"tracer": "callTracer"}}`. Errors are `trace` 2.
    pub fn parse(text: &[u8]) -> Result<Self, EngineError> {
        serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))
    }
}

/// What a trace may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory of what is recorded [bytes].
    pub recorded_bytes: usize,
    /// Length of the answer, of all transactions together [bytes].
    pub answer_bytes: usize,
    /// Longest time where the question names none [s]; None keeps go-ethereum's.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { recorded_bytes: 64 << 20, answer_bytes: 24 << 20, timeout: None }
    }
}

impl Limits {
    /// When a trace that begins now has to end.
    pub fn deadline(&self, style: &Style) -> Result<Instant, EngineError> {
        let asked = match style {
            Style::Geth(options) => options.timeout.as_deref().map(go_duration).transpose()?,
            _ => None,
        };
        Ok(Instant::now() + asked.or(self.timeout).unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT))
    }
}

/// `trace` 2: the question cannot be read, or asks for a tracer that is not here.
pub(crate) fn unreadable(why: impl Into<String>) -> EngineError {
    failed(2, why)
}

/// `trace` 3: the trace costs more than it may.
pub(crate) fn too_large(why: impl Into<String>) -> EngineError {
    failed(3, why)
}

/// `trace` 4: the batch is not one that a round can hold.
pub(crate) fn not_replayed(why: impl Into<String>) -> EngineError {
    failed(4, why)
}

fn failed(code: u32, why: impl Into<String>) -> EngineError {
    EngineError::Call(CallFailure::from(ModuleError { module: TRACE, code, message: why.into() }))
}

/// A duration as Go writes it: `5s`, `300ms`, `1m30s`.
fn go_duration(text: &str) -> Result<Duration, EngineError> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let invalid = || unreadable("timeout: not a duration such as 5s or 300ms");
    if text.is_empty() || text.len() > 32 {
        return Err(invalid());
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end]).ok_or_else(invalid)?;
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// JSON of at most `limit` bytes.
pub fn write_json(value: &impl Serialize, limit: usize) -> Result<Vec<u8>, EngineError> {
    struct Bounded(Vec<u8>, usize);
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.1 - self.0.len() {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut text = Bounded(Vec::new(), limit);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => Ok(text.0),
        Err(error) if error.is_io() => Err(too_large(format!(
            "the trace is longer than {limit} bytes: ask for less (limit, disableStack, onlyTopCall, fewer calls)"
        ))),
        Err(error) => Err(EngineError::Config(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, milliseconds) in [("5s", 5_000), ("300ms", 300), ("1m30s", 90_000), ("1.5s", 1_500), ("0s", 0)] {
            assert_eq!(go_duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "5x", "1..2s", "9e9h", &"1s".repeat(40)] {
            assert!(go_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_ends_at_its_limit() {
        assert_eq!(write_json(&[1, 2], 5).unwrap(), b"[1,2]");
        assert!(matches!(write_json(&[1, 2], 4), Err(EngineError::Call(failure)) if failure.error.code == 3));
    }
}
