//! What accounts have before the first round, and the contracts that every chain has.

use alloy_primitives::{Address, Bytes, U256, address};

/// An account of the genesis state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Whose it is.
    pub address: Address,
    /// First balance [base units].
    pub balance: U256,
    /// First nonce; that of a contract is at least 1 (EIP-161).
    pub nonce: u64,
    /// Code of a contract.
    pub code: Bytes,
    /// Slots and what they hold.
    pub storage: Vec<(U256, U256)>,
}

impl GenesisAccount {
    /// An account that has nothing but tokens.
    pub fn funded(address: Address, balance: U256) -> Self {
        Self { address, balance, ..Self::default() }
    }
}

/// Contracts at the addresses that they have on Ethereum, with the code that they have there.
///
/// Source of each: `tests/vectors/predeployed.json`, of which a test deploys them again. What they compute once from
/// the chain id (EIP-712 domains) they compute anew where it is another one than Ethereum's. Differs: the entry point
/// 0.7 stores a 1 at its creation, in the slot of its guard against reentrance, for which 0 is as good.
pub fn predeployed() -> Vec<GenesisAccount> {
    macro_rules! contract {
        ($address:literal, $nonce:literal, $file:literal) => {
            GenesisAccount {
                address: address!($address),
                nonce: $nonce,
                code: Bytes::from_static(include_bytes!(concat!("../data/predeployed/", $file, ".bin"))),
                ..Default::default()
            }
        };
    }
    vec![
        contract!("4e59b44847b379578588920cA78FbF26c0B4956C", 1, "create2_deployer"),
        contract!("cA11bde05977b3631167028862bE2a173976CA11", 1, "multicall3"),
        contract!("ba5Ed099633D3B313e4D5F7bdc1305d3c28ba5Ed", 1, "createx"),
        contract!("000000000022D473030F116dDEE9F6B43aC78BA3", 1, "permit2"),
        contract!("0000000071727De22E5E9d8BAf0edAc6f37da032", 2, "entry_point_0_7"),
        contract!("EFC2c1444eBCC4Db75e7613d20C6a62fF67A167C", 1, "sender_creator_0_7"),
        contract!("4337084D9E255Ff0702461CF8895CE9E3b5Ff108", 2, "entry_point_0_8"),
        contract!("449ED7C3e6Fee6a97311d4b55475DF59C44AdD33", 1, "sender_creator_0_8"),
    ]
}
