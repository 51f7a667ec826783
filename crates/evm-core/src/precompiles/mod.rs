//! Sapphire's precompiles: Ethereum's 1 to 8, and fourteen of Oasis; on a public chain all of Ethereum's.
//!
//! Gas and failure kinds follow oasis-sdk `runtime-sdk/modules/evm/src/precompile/` @ 00da39c.

mod abi;
mod confidential;
mod gas_meter;
mod hashes;
mod meter;
mod moved;
mod signatures;
mod subcall;

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, address, map::AddressSet};
use revm::{
    context::{ContextTr, JournalTr, LocalContextTr},
    handler::PrecompileProvider,
    interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult},
    precompile::{PrecompileSpecId, PrecompileStatus, Precompiles},
    primitives::hardfork::SpecId,
};

use self::meter::{Failure, Meter};
pub use self::moved::{Moved, Moves};
pub(crate) use self::subcall::{SUBCALL, call_data, read_answer};
use crate::context::SapphireContext;

/// Ethereum's last precompile that Sapphire has: the pairing check. BLAKE2 is not among them.
const LAST_OF_SAPPHIRE: Address = address!("0000000000000000000000000000000000000008");

/// An Oasis precompile, by the last two bytes of its address after a leading 0x01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oasis {
    RandomBytes,
    X25519Derive,
    DeoxysSeal,
    DeoxysOpen,
    KeypairGenerate,
    Sign,
    Verify,
    Curve25519Public,
    GasUsed,
    PadGas,
    Sha512_256,
    Sha512,
    Subcall,
    Sha384,
}

impl Oasis {
    const ALL: [(u8, u8, Self); 14] = [
        (0, 0x01, Self::RandomBytes),
        (0, 0x02, Self::X25519Derive),
        (0, 0x03, Self::DeoxysSeal),
        (0, 0x04, Self::DeoxysOpen),
        (0, 0x05, Self::KeypairGenerate),
        (0, 0x06, Self::Sign),
        (0, 0x07, Self::Verify),
        (0, 0x08, Self::Curve25519Public),
        (0, 0x09, Self::GasUsed),
        (0, 0x0a, Self::PadGas),
        (1, 0x01, Self::Sha512_256),
        (1, 0x02, Self::Sha512),
        (1, 0x03, Self::Subcall),
        (1, 0x04, Self::Sha384),
    ];

    fn at(address: &Address) -> Option<Self> {
        let bytes = address.as_slice();
        if bytes[0] != 1 || bytes[1..18].iter().any(|byte| *byte != 0) {
            return None;
        }
        Self::ALL.iter().find(|(high, low, _)| (*high, *low) == (bytes[18], bytes[19])).map(|(_, _, which)| *which)
    }

    /// Whether it exists on a chain without confidentiality too.
    fn is_general(self) -> bool {
        matches!(self, Self::Sha512_256 | Self::Sha512 | Self::Subcall | Self::Sha384)
    }
}

/// The provider revm asks at every call.
pub struct SapphirePrecompiles {
    ethereum: &'static Precompiles,
    /// Addresses where a simulation put another precompile, or none; empty elsewhere.
    pretended: BTreeMap<Address, Option<Address>>,
    addresses: AddressSet,
    confidential: bool,
}

impl SapphirePrecompiles {
    /// The set of a confidential chain: Ethereum's first eight and all of Oasis. Or that of a public one: all that
    /// Ethereum has under the fork, and those of Oasis that need no secrets.
    pub fn new(fork: SpecId, confidential: bool) -> Self {
        let all = Precompiles::new(PrecompileSpecId::from_spec_id(fork));
        let ethereum = all.addresses().copied().filter(|address| !confidential || *address <= LAST_OF_SAPPHIRE);
        let oasis =
            Oasis::ALL.iter().filter(|(_, _, which)| confidential || which.is_general()).map(|(high, low, _)| {
                let mut address = Address::ZERO;
                address.0[0] = 1;
                address.0[18] = *high;
                address.0[19] = *low;
                address
            });
        let addresses = ethereum.chain(oasis).collect();
        Self { ethereum: all, pretended: BTreeMap::new(), addresses, confidential }
    }

    /// Ethereum's alone, some of them elsewhere: no chain of Qanat has this set, but one of Ethereum that is imported.
    pub fn of_ethereum(fork: SpecId, moved: &Moved) -> Self {
        let ethereum = Precompiles::new(PrecompileSpecId::from_spec_id(fork));
        let addresses = ethereum.addresses().copied().collect();
        let mut set = Self { ethereum, pretended: BTreeMap::new(), addresses, confidential: false };
        set.relocate(moved);
        set
    }

    /// Puts precompiles elsewhere, in the place of all that were elsewhere before. Warm are those of the fork.
    pub(crate) fn relocate(&mut self, moved: &Moved) {
        let gone = moved.keys().map(|from| (*from, None));
        let here = moved.iter().filter_map(|(from, to)| Some(((*to)?, Some(*from))));
        self.pretended = gone.chain(here).collect();
    }

    /// The addresses of the fork's.
    pub(crate) fn native(&self) -> &AddressSet {
        &self.addresses
    }

    /// Whether what answers at an address looks at the gas of its caller.
    pub(crate) fn is_gas_meter(&self, address: &Address) -> bool {
        let origin = self.pretended.get(address).unwrap_or(&None).as_ref().unwrap_or(address);
        matches!(Oasis::at(origin), Some(Oasis::GasUsed | Oasis::PadGas))
    }
}

impl<'e> PrecompileProvider<SapphireContext<'e>> for SapphirePrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: SpecId) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut SapphireContext<'e>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let address = match self.pretended.get(&inputs.bytecode_address) {
            None if self.addresses.contains(&inputs.bytecode_address) => &inputs.bytecode_address,
            Some(Some(origin)) => origin,
            _ => return Ok(None),
        };
        let input = inputs.input.bytes(context);
        let mut meter = Meter::new(inputs.gas_limit);
        let outcome = match Oasis::at(address) {
            Some(which) => run_oasis(which, &input, &mut meter, context, inputs)?,
            None => self.run_ethereum(address, &input, &mut meter)?,
        };
        if let Err(Failure::Error(reason)) = &outcome
            && context.journal().depth() == 1
        {
            context.local_mut().set_precompile_error_context((*reason).to_string());
        }
        Ok(Some(interpreter_result(outcome, &meter)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

impl SapphirePrecompiles {
    fn run_ethereum(
        &self,
        address: &Address,
        input: &[u8],
        meter: &mut Meter,
    ) -> Result<Result<Bytes, Failure>, String> {
        let Some(precompile) = self.ethereum.get(address) else {
            return Err(format!("no precompile at {address}"));
        };
        let output = precompile.execute(input, meter.limit(), 0).map_err(|error| error.to_string())?;
        Ok(match output.status {
            PrecompileStatus::Success => meter.charge(output.gas_used).map(|()| output.bytes),
            PrecompileStatus::Revert => Err(Failure::Revert),
            PrecompileStatus::Halt(reason) if reason.is_oog() => Err(Failure::OutOfGas),
            PrecompileStatus::Halt(_) => Err(Failure::Error("precompile failed")),
        })
    }

    /// Whether confidential precompiles are in the set.
    pub fn is_confidential(&self) -> bool {
        self.confidential
    }
}

/// The outer error is fatal: it abandons the block, not the call.
fn run_oasis(
    which: Oasis,
    input: &[u8],
    meter: &mut Meter,
    context: &mut SapphireContext<'_>,
    inputs: &CallInputs,
) -> Result<Result<Bytes, Failure>, String> {
    let output = match which {
        Oasis::RandomBytes => confidential::random_bytes(input, meter, &mut context.chain.rng),
        Oasis::X25519Derive => confidential::x25519_derive(input, meter),
        Oasis::DeoxysSeal => confidential::deoxys_seal(input, meter),
        Oasis::DeoxysOpen => confidential::deoxys_open(input, meter),
        Oasis::Curve25519Public => confidential::curve25519_public(input, meter),
        Oasis::KeypairGenerate => signatures::keypair_generate(input, meter),
        Oasis::Sign => signatures::sign(input, meter),
        Oasis::Verify => signatures::verify(input, meter),
        Oasis::GasUsed => gas_meter::gas_used(meter, context.chain.caller_gas_used),
        Oasis::PadGas => gas_meter::pad_gas(input, meter, context.chain.caller_gas_used),
        Oasis::Sha512_256 => hashes::sha512_256(input, meter),
        Oasis::Sha512 => hashes::sha512(input, meter),
        Oasis::Sha384 => hashes::sha384(input, meter),
        Oasis::Subcall => return subcall::subcall(input, meter, context, inputs),
    };
    Ok(output.map(Bytes::from))
}

fn interpreter_result(outcome: Result<Bytes, Failure>, meter: &Meter) -> InterpreterResult {
    let mut gas = Gas::new(meter.limit());
    let (result, output) = match outcome {
        Ok(output) => {
            gas.set_spent(meter.used());
            (InstructionResult::Return, output)
        }
        Err(Failure::Revert) => {
            gas.set_spent(meter.used());
            (InstructionResult::Revert, Bytes::new())
        }
        Err(Failure::OutOfGas) => {
            gas.spend_all();
            (InstructionResult::PrecompileOOG, Bytes::new())
        }
        Err(Failure::Error(_)) => {
            gas.spend_all();
            (InstructionResult::PrecompileError, Bytes::new())
        }
    };
    InterpreterResult::new(result, output, gas)
}
