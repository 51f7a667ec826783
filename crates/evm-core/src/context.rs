//! What the EVM and its precompiles work on: revm's context with our database and our extras.

use revm::{
    Context, Journal,
    context::{BlockEnv, CfgEnv, LocalContext, TxEnv},
};

use crate::{
    database::StateDatabase, environment::Environment, failure::HostError, modules::Effects, rng::TransactionRng,
    subcall::Subcalls,
};

/// revm's context with our database and extras.
pub type SapphireContext<'e> =
    Context<BlockEnv, TxEnv, CfgEnv, StateDatabase<'e>, Journal<StateDatabase<'e>>, Extras<'e>, LocalContext>;

/// What precompiles need beside revm's own context.
pub struct Extras<'e> {
    /// The round's surroundings.
    pub environment: &'e Environment,
    /// Host modules reachable by sub-call.
    pub subcalls: Option<&'e dyn Subcalls>,
    /// Random bytes of the running transaction.
    pub rng: TransactionRng,
    /// Gas used by the frame that calls the gas-meter precompiles, net of capped refunds.
    pub caller_gas_used: u64,
    /// Gas of the running message that the EVM does not count as its own [gas].
    pub prepaid_gas: u64,
    /// Whether more than one frame ran, so that 1/64 of gas was held back somewhere.
    pub nested: bool,
    /// Why a callback failed; the transaction and its block are abandoned.
    pub host_error: Option<HostError>,
    /// What sub-calls of the running message did, frames that reverted included.
    pub(crate) effects: Effects,
}
