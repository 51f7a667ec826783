//! Gas of one precompile call, and the three ways it can fail.

/// How a precompile fails. Each also gives empty return data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The call fails and keeps its unspent gas.
    Revert,
    /// The call fails and takes all its gas; the text says why.
    Error(&'static str),
    /// Not enough gas: as an error, under another name.
    OutOfGas,
}

/// Counts gas against the limit the caller forwarded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    limit: u64,
    used: u64,
}

impl Meter {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn remaining(&self) -> u64 {
        self.limit - self.used
    }

    /// Takes gas, or fails and takes none.
    pub(super) fn charge(&mut self, gas: u64) -> Result<(), Failure> {
        let used = self.used.checked_add(gas).filter(|used| *used <= self.limit).ok_or(Failure::OutOfGas)?;
        self.used = used;
        Ok(())
    }

    /// `base` and `per_word` for each 32 bytes begun.
    pub(super) fn charge_linear(&mut self, length: usize, base: u64, per_word: u64) -> Result<(), Failure> {
        self.charge(base.saturating_add(per_word.saturating_mul(words(length))))
    }
}

/// 32-byte words that hold `length` bytes.
pub(super) fn words(length: usize) -> u64 {
    length.div_ceil(32) as u64
}
