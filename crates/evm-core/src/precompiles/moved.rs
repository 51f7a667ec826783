//! Precompiles that a question puts elsewhere.

use std::collections::BTreeMap;

use alloy_primitives::{Address, map::AddressSet};
use alloy_rpc_types_eth::state::StateOverride;

/// Precompiles that were taken from their addresses, and where each of them is now, if anywhere.
pub type Moved = BTreeMap<Address, Option<Address>>;

/// Moves of one block over the precompiles of its fork.
#[derive(Clone, Debug)]
pub struct Moves {
    native: AddressSet,
    moved: Moved,
    /// Where one was put: what is there is not to be overridden.
    targets: Vec<Address>,
}

impl Moves {
    /// None yet.
    pub fn new(native: AddressSet) -> Self {
        Self { native, moved: Moved::new(), targets: Vec::new() }
    }

    /// Takes over what `overrides` say of one account: a precompile that is overridden is gone, or elsewhere.
    ///
    /// Accounts are given in the order of their addresses. Errors are in go-ethereum's words.
    ///
    /// Source: go-ethereum `internal/ethapi/override` (`StateOverride.Apply`).
    pub fn take(&mut self, address: Address, overrides: &StateOverride) -> Result<(), String> {
        if self.targets.contains(&address) {
            return Err(format!("account {address} has already been overridden by a precompile"));
        }
        let target = overrides.get(&address).and_then(|account| account.move_precompile_to);
        let origin = self.origin(address);
        if let Some(target) = target {
            if origin.is_none() {
                return Err(format!("account {address} is not a precompile"));
            }
            if overrides.contains_key(&target) {
                return Err(format!("account {target} is already overridden"));
            }
            self.targets.push(target);
            if let Some(replaced) = self.origin(target) {
                self.moved.insert(replaced, None);
            }
        }
        if let Some(origin) = origin {
            self.moved.insert(origin, target);
        }
        Ok(())
    }

    /// What is elsewhere now.
    pub fn moved(&self) -> &Moved {
        &self.moved
    }

    /// Where the precompile that answers at an address is from; None where none answers.
    fn origin(&self, address: Address) -> Option<Address> {
        let here = self.moved.iter().find(|(_, to)| **to == Some(address)).map(|(from, _)| *from);
        here.or_else(|| (self.native.contains(&address) && !self.moved.contains_key(&address)).then_some(address))
    }
}
