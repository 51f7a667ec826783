//! Logs of a simulated call, with transfers of ether among them.
//!
//! Source: go-ethereum `internal/ethapi/logtracer.go`.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, address, b256};
use revm::{
    inspector::Inspector,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};

use crate::context::SapphireContext;

/// Whose logs are transfers of ether.
const ETHER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// A log and its index in the block, which those of frames that failed took as well.
pub type Placed = (usize, Log);

/// Collects logs by frame: a frame that fails has none.
pub struct Transfers {
    shows_transfers: bool,
    frames: Vec<Vec<Placed>>,
    next: usize,
}

impl Transfers {
    /// The next log has index `next` in the block.
    pub fn new(shows_transfers: bool, next: usize) -> Self {
        Self { shows_transfers, frames: Vec::new(), next }
    }

    /// The logs of the call, and the index of the next one.
    pub fn take(&mut self) -> (Vec<Placed>, usize) {
        (std::mem::take(&mut self.frames).into_iter().flatten().collect(), self.next)
    }

    fn push(&mut self, log: Log) {
        if let Some(frame) = self.frames.last_mut() {
            frame.push((self.next, log));
            self.next += 1;
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.shows_transfers && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, Bytes::copy_from_slice(&value.to_be_bytes::<32>()));
            self.push(Log { address: ETHER, data });
        }
    }

    fn leave(&mut self, is_success: bool) {
        let own = self.frames.pop().unwrap_or_default();
        let own = if is_success { own } else { Vec::new() };
        match self.frames.last_mut() {
            Some(outer) => outer.extend(own),
            None => self.frames.push(own),
        }
    }
}

impl Inspector<SapphireContext<'_>> for Transfers {
    fn log(&mut self, _context: &mut SapphireContext<'_>, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _context: &mut SapphireContext<'_>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.frames.push(Vec::new());
        self.transfer(inputs.caller, inputs.bytecode_address, inputs.transfer_value().unwrap_or_default());
        None
    }

    fn call_end(&mut self, _context: &mut SapphireContext<'_>, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn create(&mut self, _context: &mut SapphireContext<'_>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames.push(Vec::new());
        self.transfer(inputs.caller(), Address::ZERO, inputs.value());
        None
    }

    fn create_end(&mut self, _context: &mut SapphireContext<'_>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if self.shows_transfers
            && !inputs.value().is_zero()
            && let (Some(created), Some((_, first))) =
                (outcome.address, self.frames.last_mut().and_then(|own| own.first_mut()))
            && let Some(to) = first.data.topics_mut().get_mut(2)
        {
            *to = created.into_word(); // known only now
        }
        self.leave(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
