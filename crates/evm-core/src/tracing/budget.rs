//! What a trace has cost so far, and where it ends.

use std::{collections::HashSet, time::Instant};

use alloy_primitives::{Address, U256};

use super::too_large;
use crate::failure::EngineError;

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1_024;
/// What one recorded step takes beside its stack and memory [bytes].
const STEP_BYTES: usize = 512;
/// Memory is kept once as it is, and once as the hexadecimal words of the answer.
const MEMORY_FACTOR: usize = 4;
/// What one recorded call takes beside its data [bytes].
const CALL_BYTES: usize = 1_024;
/// What one slot takes in the storage that a step shows [bytes].
const SLOT_BYTES: usize = 96;

/// Why a trace ended for want of memory.
pub(super) const NEEDS_MEMORY: &str =
    "the trace needs more memory than it may use: ask for less (limit, disableStack, onlyTopCall)";

/// Memory and time that a trace may still use.
#[derive(Debug)]
pub struct Budget {
    bytes_left: usize,
    deadline: Instant,
    steps: u64,
    exceeded: Option<&'static str>,
    /// Slots that each step which touches storage shows again.
    shown_slots: HashSet<(Address, U256)>,
}

impl Budget {
    /// A budget that ends at a time, or with the memory.
    pub fn new(bytes: usize, deadline: Instant) -> Self {
        Self { bytes_left: bytes, deadline, steps: 0, exceeded: None, shown_slots: HashSet::new() }
    }

    /// Memory that is left [bytes].
    pub(super) fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Whether the trace has to end.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.is_some()
    }

    /// Says why the trace had to end, if it had to.
    pub(crate) fn verdict(&self) -> Result<(), EngineError> {
        self.exceeded.map_or(Ok(()), |why| Err(too_large(why)))
    }

    /// Counts a step that runs; every thousandth looks at the clock.
    pub(super) fn pass_step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_LOOK) {
            self.look_at_clock();
        }
    }

    pub(super) fn look_at_clock(&mut self) {
        if Instant::now() >= self.deadline {
            self.exceeded.get_or_insert("the trace takes longer than its timeout");
        }
    }

    /// Counts a step that is recorded with its stack and memory.
    pub(super) fn record_step(&mut self, stack_words: usize, memory_bytes: usize) {
        self.take(STEP_BYTES + 32 * stack_words + MEMORY_FACTOR * memory_bytes);
    }

    /// Counts the storage that a step shows: all slots of the contract so far.
    pub(super) fn record_slot(&mut self, contract: Address, slot: U256) {
        self.shown_slots.insert((contract, slot));
        self.take(SLOT_BYTES * self.shown_slots.len());
    }

    /// Counts a call with its input, or its output.
    pub(super) fn record_call(&mut self, data_bytes: usize) {
        self.take(CALL_BYTES + data_bytes);
    }

    fn take(&mut self, bytes: usize) {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None => {
                self.bytes_left = 0;
                self.exceeded.get_or_insert(NEEDS_MEMORY);
            }
        }
    }
}
