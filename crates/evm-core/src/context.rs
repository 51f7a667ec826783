//! What the EVM and its precompiles work on: revm's context with our database and our extras.

use alloy_primitives::Address;
use revm::{
    Context, Journal,
    context::{BlockEnv, CfgEnv, LocalContext, TxEnv},
    state::EvmState,
};

use crate::{
    attested::AttestedHost, database::StateDatabase, environment::Environment, failure::HostError, keys::Key,
    layout::OasisAddress, modules::Effects, rng::TransactionRng, sdk_transaction::Authority, subcall::Subcalls,
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
    /// What the module `rofl` needs of the enclave; None where it has no such thing, as in questions.
    pub attested: Option<&'e dyn AttestedHost>,
    /// What sent the running message.
    pub origin: Origin,
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
    /// Accounts that took on code before the running message.
    pub(crate) delegated: EvmState,
}

/// The transaction that a message is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who signed it; the first is the sender. Empty in questions.
    pub signers: Vec<OriginKey>,
    /// Position in its round.
    pub index: u64,
    /// Whether it calls a method of a module itself, so that no contract stands between.
    pub is_direct: bool,
    /// Whether its call, and so its answer, is encrypted.
    pub is_encrypted: bool,
}

/// A key that signed. Of one of Ethereum's transactions only the address is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginKey {
    /// Any key.
    Known(Key),
    /// A secp256k1 key with this address.
    Ethereum(Address),
    /// Several keys, of which none speaks for this account alone.
    Multisig(OasisAddress),
}

impl OriginKey {
    /// What signed for a signer of a transaction.
    pub fn of(authority: &Authority) -> Self {
        match authority {
            Authority::Key(key, _) => Self::Known(key.clone()),
            Authority::Multisig(keys) => Self::Multisig(keys.account()),
        }
    }
}
