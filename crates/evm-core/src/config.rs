//! Parameters of the chain: what every replica must agree on before it executes anything.

use revm::primitives::hardfork::SpecId;

/// Ethereum's rules on a confidential chain: those that Sapphire has.
pub const CONFIDENTIAL_FORK: SpecId = SpecId::SHANGHAI;
/// Ethereum's rules on a public chain: those of Ethereum's mainnet since December 2025.
pub const PUBLIC_FORK: SpecId = SpecId::OSAKA;
/// Gas charged for each byte of the CBOR-encoded `UnverifiedTransaction` [gas/byte].
///
/// Source: sapphire-paratime `runtime/src/lib.rs`, core module parameters (`tx_byte`).
pub const TX_BYTE_GAS: u64 = 1;
/// Gas charged for the verification of the transaction's signature [gas].
pub const SIGNATURE_GAS: u64 = 1_000;
/// Gas charged for opening an encrypted call of the SDK's format [gas].
pub const CALL_FORMAT_GAS: u64 = 10_000;
/// Least gas per byte of pending state updates; a transaction pays the larger of this and its own use [gas/byte].
pub const STORAGE_BYTE_GAS: u64 = 15;
/// Longest deployed code [bytes] (EIP-7907's value, as Sapphire has it).
pub const CODE_LIMIT_BYTES: usize = 0x10000;
/// Longest init code [bytes]: twice the code limit (EIP-3860).
pub const INITCODE_LIMIT_BYTES: usize = 0x20000;
/// Longest return or revert data kept in a transaction's result [bytes]. Queries are not cut.
pub const MAX_RESULT_BYTES: usize = 1024;
/// Number of past round hashes kept in state for `BLOCKHASH` and the leashes of signed queries.
pub const BLOCK_HASH_WINDOW: u64 = 256;
/// Share of the batch gas limit at which the minimum gas price stands still [%].
pub const TARGET_GAS_PERCENT: u128 = 50;
/// The minimum gas price moves by at most 1/8 of itself in one round.
pub const PRICE_CHANGE_DENOMINATOR: u128 = 8;

/// Which semantics a query gets. Transactions are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Exactly Sapphire: unsigned queries and estimates come from the zero address.
    #[default]
    Strict,
    /// Friendlier to a developer: estimates and unsigned queries keep the sender they claim, and what a client sealed
    /// twice is opened twice.
    Dev,
}

/// What the chain is. Immutable once an engine is made from it.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Most gas that the transactions of one round may use together, and so the cap of each [gas].
    pub batch_gas_limit: u64,
    /// Floor of the dynamic minimum gas price [base units/gas].
    pub initial_min_gas_price: u128,
    /// Whether contract storage and calldata are encrypted and the confidential precompiles exist.
    pub confidential: bool,
    /// Ethereum's rules under which contracts run: opcodes, their gas, Ethereum's precompiles.
    pub fork: SpecId,
    /// Added to the estimate of a call that fails, because a zero sender often makes it fail [gas].
    pub estimate_extra_fail_gas: u64,
    /// Longest raw transaction [bytes].
    pub max_tx_bytes: usize,
    /// Semantics of queries.
    pub profile: Profile,
    /// Whether a transaction pays for its size and its signature, as on Sapphire; not so, a transfer costs 21,000.
    pub charges_for_size: bool,
    /// Who may edit the state, and send for others; None where nobody may.
    pub dev_control_key: Option<[u8; 32]>,
    /// Context of signatures under transactions of the SDK's format; None where they are not taken.
    pub sdk_context: Option<Vec<u8>>,
}

impl ChainConfig {
    /// The parameters of Sapphire's localnet for the given chain.
    pub fn new(chain_id: u64) -> Self {
        Self {
            chain_id,
            batch_gas_limit: 15_000_000,
            initial_min_gas_price: 100_000_000_000,
            confidential: true,
            fork: CONFIDENTIAL_FORK,
            estimate_extra_fail_gas: 2_000_000,
            max_tx_bytes: 131_072,
            profile: Profile::Strict,
            charges_for_size: true,
            dev_control_key: None,
            sdk_context: None,
        }
    }
}
