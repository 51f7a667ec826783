//! Where things are in the state tree, and how accounts are written.
//!
//! | key | value |
//! |---|---|
//! | `01 ‖ Oasis address (21)` | account: flag, nonce, code hash, balance |
//! | `02 ‖ code hash (32)` | contract code |
//! | `03 ‖ round (8, big-endian)` | hash of that round, the last 256 |
//! | `04 ‖ contract (20) ‖ nonce (15) ‖ sealed slot (48)` | nonce (15) ‖ sealed value (48) |
//! | `05 ‖ contract (20) ‖ slot (32)` | value, on a chain without confidentiality |
//! | `06` | minimum gas price (16, big-endian) |
//! | `07` | fees paid so far (16, big-endian) |
//! | `08 …` | module `consensus`; see `modules::consensus` |
//! | `09 …` | module `rofl`; see `modules::rofl` |
//! | `0a` to `0d …` | Ethereum's tries, on a chain without confidentiality; see `merkle` |
//!
//! Accounts lie under their Oasis address, not their Ethereum one, because sub-calls pay to Oasis
//! addresses, which may have no Ethereum form at all.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};

use crate::crypto::sha512_256;
use state_core::errors::StateError;

/// Minimum gas price of the next round.
pub const MIN_GAS_PRICE_KEY: &[u8] = &[0x06];
/// Fees collected since genesis: they leave the payer and wait here, so that the supply adds up.
pub const FEES_KEY: &[u8] = &[0x07];

/// A 21-byte Oasis address: version 0 and a truncated hash.
pub type OasisAddress = [u8; 21];

/// The Oasis address under which an Ethereum account is kept.
///
/// Source: oasis-sdk `runtime-sdk/src/types/address.rs` @ 00da39c, context `secp256k1eth`, version 0.
pub fn oasis_address(address: &Address) -> OasisAddress {
    let hash = sha512_256(&[b"oasis-runtime-sdk/address: secp256k1eth", &[0], address.as_slice()]);
    let mut oasis = [0; 21];
    oasis[1..].copy_from_slice(&hash[..20]);
    oasis
}

/// The address of whoever has an Ed25519 key, as in consensus.
///
/// Source: oasis-core `go/staking/api/address.go` @ f9f1fdc.
pub fn staking_address(key: &[u8; 32]) -> OasisAddress {
    hashed_address(&[b"oasis-core/address: staking", &[0], key])
}

/// The address of whoever has an Sr25519 key.
///
/// Source: oasis-sdk `runtime-sdk/src/types/address.rs` @ 00da39c, context `sr25519`, version 0.
pub fn sr25519_address(key: &[u8; 32]) -> OasisAddress {
    hashed_address(&[b"oasis-runtime-sdk/address: sr25519", &[0], key])
}

/// The address of whoever has enough of several keys, by their canonical CBOR.
pub fn multisig_address(keys: &[u8]) -> OasisAddress {
    hashed_address(&[b"oasis-runtime-sdk/address: multisig", &[0], keys])
}

/// Address of an account that a module has for itself.
pub fn module_address(module: &str, kind: &str) -> OasisAddress {
    let parts = [module.as_bytes(), b".", kind.as_bytes()];
    hashed_address(&[b"oasis-runtime-sdk/address: module", &[0], &parts.concat()])
}

fn hashed_address(parts: &[&[u8]]) -> OasisAddress {
    let mut address = [0; 21];
    address[1..].copy_from_slice(&sha512_256(parts)[..20]);
    address
}

/// Stand-in, in the EVM, for an account that has no Ethereum address: nobody can hold a key for it.
pub fn placeholder_address(native: &OasisAddress) -> Address {
    Address::from_slice(&sha512_256(&[b"qanat/evm: placeholder of a native account", native])[..20])
}

/// What the keys of all accounts begin with.
pub const ACCOUNTS: &[u8] = &[0x01];

/// Key of an account.
pub fn account_key(address: &OasisAddress) -> Vec<u8> {
    [ACCOUNTS, address.as_slice()].concat()
}

/// Key of a contract's code.
pub fn code_key(hash: &B256) -> Vec<u8> {
    [&[0x02], hash.as_slice()].concat()
}

/// Key of the hash of a round.
pub fn block_hash_key(round: u64) -> Vec<u8> {
    [[0x03].as_slice(), &round.to_be_bytes()].concat()
}

/// Key of a storage slot on a chain without confidentiality.
pub fn public_slot_key(contract: &Address, slot: &U256) -> Vec<u8> {
    [[0x05].as_slice(), contract.as_slice(), &slot.to_be_bytes::<32>()].concat()
}

/// What the keys of all slots of a contract begin with.
pub fn slot_prefix(contract: &Address, confidential: bool) -> Vec<u8> {
    [[if confidential { 0x04 } else { 0x05 }].as_slice(), contract.as_slice()].concat()
}

/// An account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Transactions sent, or contracts created by a contract.
    pub nonce: u64,
    /// Balance [base units].
    pub balance: U256,
    /// Hash of the code; the hash of nothing for an account without code.
    pub code_hash: B256,
}

impl Default for AccountRecord {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountRecord {
    /// Whether nothing distinguishes it from an account that was never used; such accounts are not stored.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }

    /// Flag (1 with code) ‖ nonce (8) ‖ [code hash (32)] ‖ balance (big-endian, minimal).
    pub fn encode(&self) -> Vec<u8> {
        let has_code = self.code_hash != KECCAK256_EMPTY;
        let mut record = Vec::with_capacity(73);
        record.push(u8::from(has_code));
        record.extend_from_slice(&self.nonce.to_be_bytes());
        if has_code {
            record.extend_from_slice(self.code_hash.as_slice());
        }
        record.extend_from_slice(&self.balance.to_be_bytes_trimmed_vec());
        record
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(record: &[u8]) -> Result<Self, StateError> {
        let corrupt = || StateError::Corrupt("account record".into());
        let (&flag, rest) = record.split_first().ok_or_else(corrupt)?;
        let (nonce, rest) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
        let (code_hash, balance) = match flag {
            0 => (KECCAK256_EMPTY, rest),
            1 => rest.split_first_chunk::<32>().map(|(hash, rest)| (B256::from(*hash), rest)).ok_or_else(corrupt)?,
            _ => return Err(corrupt()),
        };
        let balance = U256::try_from_be_slice(balance).ok_or_else(corrupt)?;
        Ok(Self { nonce: u64::from_be_bytes(*nonce), balance, code_hash })
    }
}

/// Whether a code hash is that of nothing.
pub fn is_no_code(hash: &B256) -> bool {
    *hash == KECCAK256_EMPTY || hash.is_zero()
}

/// A 16-byte big-endian quantity of the state, zero where absent.
pub fn decode_quantity(value: Option<Vec<u8>>) -> Result<Option<u128>, StateError> {
    value
        .map(|bytes| {
            let bytes: [u8; 16] =
                bytes.try_into().map_err(|_| StateError::Corrupt("quantity is not 16 bytes".into()))?;
            Ok(u128::from_be_bytes(bytes))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_records_round_trip() {
        for record in [
            AccountRecord::default(),
            AccountRecord { nonce: 7, balance: U256::from(10).pow(U256::from(22)), ..Default::default() },
            AccountRecord { nonce: u64::MAX, balance: U256::MAX, code_hash: B256::repeat_byte(9) },
        ] {
            assert_eq!(AccountRecord::decode(&record.encode()), Ok(record));
        }
        assert!(AccountRecord::decode(&[2; 20]).is_err());
        assert!(AccountRecord::decode(&[]).is_err());
        assert!(AccountRecord::decode(&[0; 50]).is_err());
    }

    #[test]
    fn oasis_address_is_the_published_one() {
        // dce075e1... -> oasis1qrk58a6j2qn065m6p06jgjyt032f7qucy5wqeqpt (oasis-sdk, address tests).
        let address = alloy_primitives::address!("dce075e1c39b1ae0b75d554558b6451a226ffe00");
        let bits: String = "qrk58a6j2qn065m6p06jgjyt032f7qucy5wqeqpt"[..34]
            .bytes()
            .map(|letter| "qpzry9x8gf2tvdw0s3jn54khce6mua7l".bytes().position(|other| other == letter).unwrap())
            .map(|value| format!("{value:05b}"))
            .collect();
        let bytes: Vec<u8> = (0..21).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap()).collect();
        assert_eq!(oasis_address(&address).as_slice(), bytes);
    }
}
