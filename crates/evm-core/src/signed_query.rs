//! Signed queries: an `eth_call` that proves who asks, on a short leash so that it cannot be replayed for long.
//!
//! Source: oasis-sdk `modules/evm/src/signed_call.rs`, `types.rs`, `lib.rs` (`decode_simulate_call_query`) @ 00da39c.

use alloy_primitives::{Address, B256, U256, keccak256};
use thiserror::Error;

use crate::envelope;
use crate::errors::ModuleError;
use crate::signature::recover;
use state_core::cbor::{self, Fields, Value};
use state_core::errors::StateError;

/// The state the query was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leash {
    /// Highest nonce of the signer's account that is tolerated.
    pub nonce: u64,
    /// Base block.
    pub block_number: u64,
    /// Hash of the base block.
    pub block_hash: [u8; 32],
    /// How far from the base block the query is answered [blocks].
    pub block_range: u64,
}

/// A signed query as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPack {
    /// The call inside, in CBOR, for [`envelope::parse`].
    pub data: Vec<u8>,
    /// The leash.
    pub leash: Leash,
    /// r ‖ s ‖ v.
    pub signature: [u8; 65],
}

/// What is signed besides the leash, exactly as it came by RPC.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Chain the client believes to be on.
    pub chain_id: u64,
    /// Who claims to ask.
    pub from: Address,
    /// Contract, zero to create one.
    pub to: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Gas price [wei].
    pub gas_price: U256,
    /// Value [wei].
    pub value: U256,
    /// Calldata, decrypted.
    pub data: &'a [u8],
}

/// What the leash is checked against.
pub trait Chain {
    /// Nonce of an account.
    ///
    /// # Errors
    /// The state cannot be read.
    fn nonce(&self, address: Address) -> Result<u64, StateError>;
    /// Hash of a block, if it is in the window that is kept.
    ///
    /// # Errors
    /// The state cannot be read.
    fn block_hash(&self, number: u64) -> Result<Option<[u8; 32]>, StateError>;
    /// Number of the block that the query is answered at.
    fn current(&self) -> u64;
}

/// Why a query was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// The client's fault.
    #[error(transparent)]
    Rejected(#[from] ModuleError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Read a signed query; `None` when the data is something else.
pub fn parse(data: &[u8]) -> Option<SignedPack> {
    let mut fields = Fields::of(cbor::decode(data).ok()?)?;
    let call = fields.take("data").unwrap_or(Value::Null);
    let leash = fields.take("leash").map_or(Some(Leash::default()), parse_leash)?;
    let signature = fields.take("signature")?.into_bytes()?.try_into().ok()?;
    let complete = fields.is_empty() && envelope::is_call(&call);
    complete.then(|| SignedPack { data: cbor::encode(&call), leash, signature })
}

fn parse_leash(value: Value) -> Option<Leash> {
    let mut fields = Fields::of(value)?;
    let mut number = |name: &str| fields.take(name).map_or(Some(0), |value| value.as_unsigned());
    let (nonce, block_number, block_range) = (number("nonce")?, number("block_number")?, number("block_range")?);
    let block_hash = fields.take("block_hash")?.into_bytes()?.try_into().ok()?;
    fields.is_empty().then_some(Leash { nonce, block_number, block_hash, block_range })
}

/// Checks in upstream's order: the signature is the caller's, then the leash holds.
///
/// # Errors
/// `evm` code 10, `invalid signed simulate call query: <detail>`; or the state cannot be read.
pub fn verify(pack: &SignedPack, query: &Query<'_>, chain: &dyn Chain) -> Result<(), QueryError> {
    let signer = recover(&pack.signature, &digest(query, &pack.leash)).map_err(rejected)?;
    if signer != query.from {
        return Err(rejected("signer != caller").into());
    }
    let leash = &pack.leash;
    if chain.nonce(query.from)? > leash.nonce {
        return Err(rejected("stale nonce").into());
    }
    match chain.block_hash(leash.block_number)? {
        None => return Err(rejected("base block not found").into()),
        Some(hash) if hash != leash.block_hash => return Err(rejected("unexpected base block").into()),
        Some(_) => {}
    }
    if chain.current().abs_diff(leash.block_number) > leash.block_range {
        return Err(rejected("current block out of range").into());
    }
    Ok(())
}

fn rejected(detail: &str) -> ModuleError {
    ModuleError { module: "evm", code: 10, message: format!("invalid signed simulate call query: {detail}") }
}

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId)";
const DOMAIN_NAME: &[u8] = b"oasis-runtime-sdk/evm: signed query";
const DOMAIN_VERSION: &[u8] = b"1.0.0";
const CALL_TYPE: &[u8] = b"Call(address from,address to,uint64 gasLimit,uint256 gasPrice,uint256 value,bytes data,\
    Leash leash)Leash(uint64 nonce,uint64 blockNumber,bytes32 blockHash,uint64 blockRange)";
const LEASH_TYPE: &[u8] = b"Leash(uint64 nonce,uint64 blockNumber,bytes32 blockHash,uint64 blockRange)";

/// EIP-712 digest that the client signs.
pub fn digest(query: &Query<'_>, leash: &Leash) -> B256 {
    let domain =
        hash_struct(DOMAIN_TYPE, &[keccak256(DOMAIN_NAME).0, keccak256(DOMAIN_VERSION).0, number(query.chain_id)]);
    let leash = hash_struct(
        LEASH_TYPE,
        &[number(leash.nonce), number(leash.block_number), leash.block_hash, number(leash.block_range)],
    );
    let call = hash_struct(
        CALL_TYPE,
        &[
            query.from.into_word().0,
            query.to.into_word().0,
            number(query.gas_limit),
            query.gas_price.to_be_bytes(),
            query.value.to_be_bytes(),
            keccak256(query.data).0,
            leash.0,
        ],
    );
    keccak256([b"\x19\x01", domain.as_slice(), call.as_slice()].concat())
}

fn hash_struct(type_string: &[u8], words: &[[u8; 32]]) -> B256 {
    keccak256([&[keccak256(type_string).0], words].concat().as_flattened())
}

fn number(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}
