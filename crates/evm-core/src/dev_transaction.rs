//! What only the owner of a network with dev controls may do: edits of the state, and transactions of accounts whose
//! key nobody has.
//!
//! Raw, it is `0x7d ‖ signature (64) ‖ rlp(body)`: a typed transaction (EIP-2718) of a type that Ethereum does not use.
//! The signature is Oasis' Ed25519 by the dev-control key that the chain's configuration names, over the body. A chain
//! without such a key takes none of them.

use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy_rlp::{Decodable, Header};

use crate::{
    config::ChainConfig,
    crypto::{Algorithm, verify},
    transaction::Transaction,
};

/// First byte of the raw transaction.
pub const DEV_TYPE: u8 = 0x7d;
/// Source: `shared/rules/dev_transactions.py`.
pub const DEV_CONTEXT: &[u8] = b"qanat/evm: dev transaction";
const SIGNATURE_BYTES: usize = 64;

/// A change of the state that no execution makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Balance of an account [base units].
    Balance(Address, U256),
    /// Nonce of an account; it may not fall, since used transactions could be used again.
    Nonce(Address, u64),
    /// Code of an account; empty for none.
    Code(Address, Bytes),
    /// Slot of a contract, and what it holds.
    Storage(Address, U256, U256),
    /// Least price of the next round [base units/gas].
    MinGasPrice(u128),
    /// Accounts that are put into Ethereum's tries as they are; see `merkle`.
    Names(Vec<Address>),
}

impl Edit {
    /// Whose account it is about; None for the chain's price.
    pub fn target(&self) -> Option<Address> {
        match self {
            Self::Balance(address, _) | Self::Nonce(address, _) | Self::Code(address, _) => Some(*address),
            Self::Storage(address, ..) => Some(*address),
            Self::MinGasPrice(_) | Self::Names(_) => None,
        }
    }

    fn read(kind: u8, address: Address, slot: U256, value: Bytes) -> Option<Self> {
        let number = || U256::try_from_be_slice(&value);
        Some(match kind {
            1 => Self::Balance(address, number()?),
            2 => Self::Nonce(address, number()?.try_into().ok()?),
            3 => Self::Code(address, value),
            4 => Self::Storage(address, slot, number()?),
            5 => Self::MinGasPrice(u128::from(u64::try_from(number()?).ok()?)),
            6 => Self::Names(addresses(&value)?),
            _ => return None,
        })
    }
}

fn addresses(joined: &[u8]) -> Option<Vec<Address>> {
    let (whole, rest) = joined.as_chunks::<20>();
    rest.is_empty().then(|| whole.iter().map(Address::from).collect())
}

/// Account whose nonces put edits in order: the last 20 bytes of the key's Keccak hash.
pub fn dev_address(key: &[u8; 32]) -> Address {
    Address::from_slice(&keccak256(key)[12..])
}

/// Decodes and verifies; None for what is no such transaction by the chain's dev-control key.
pub fn decode(raw: &[u8], config: &ChainConfig) -> Option<Transaction> {
    let key = config.dev_control_key.as_ref()?;
    let (signature, body) = raw.strip_prefix(&[DEV_TYPE])?.split_at_checked(SIGNATURE_BYTES)?;
    if verify(Algorithm::Ed25519Oasis, key, DEV_CONTEXT, body, signature) != Ok(true) {
        return None;
    }
    let body = Body::decode(body)?;
    if body.chain_id != config.chain_id {
        return None;
    }
    if let Some(edit) = &body.edit {
        let owner = dev_address(key);
        // The order of edits is nobody's to edit.
        if body.sender != owner || edit.target() == Some(owner) {
            return None;
        }
    }
    let to = match &body.edit {
        Some(edit) => Some(edit.target().unwrap_or_default()),
        None => body.to,
    };
    Some(Transaction {
        hash: keccak256(raw),
        sender: body.sender,
        // Shown as legacy, since clients know no type of ours, with a signature that is nobody's.
        tx_type: 0,
        chain_id: Some(body.chain_id),
        nonce: body.nonce,
        gas_limit: body.gas_limit,
        max_fee: body.max_fee,
        max_tip: body.max_fee,
        to,
        value: body.value,
        input: body.input,
        access_list: None,
        authorizations: Vec::new(),
        v: body.chain_id.saturating_mul(2).saturating_add(35),
        r: U256::ONE,
        s: U256::ONE,
        size: raw.len(),
        edit: body.edit,
        sdk: None,
    })
}

struct Body {
    chain_id: u64,
    nonce: u64,
    max_fee: u128,
    gas_limit: u64,
    sender: Address,
    to: Option<Address>,
    value: U256,
    input: Bytes,
    edit: Option<Edit>,
}

impl Body {
    fn decode(mut raw: &[u8]) -> Option<Self> {
        let mut fields = list(&mut raw)?;
        let rest = &mut fields;
        let body = Self {
            chain_id: item(rest)?,
            nonce: item(rest)?,
            max_fee: item(rest)?,
            gas_limit: item(rest)?,
            sender: item(rest)?,
            to: item::<TxKind>(rest)?.into_to(),
            value: item(rest)?,
            input: item(rest)?,
            edit: edit(list(rest)?)?,
        };
        (raw.is_empty() && fields.is_empty()).then_some(body)
    }
}

/// An edit, or no fields for none; None where it is neither.
fn edit(mut fields: &[u8]) -> Option<Option<Edit>> {
    if fields.is_empty() {
        return Some(None);
    }
    let rest = &mut fields;
    let edit = Edit::read(item(rest)?, item(rest)?, item(rest)?, item(rest)?)?;
    fields.is_empty().then_some(Some(edit))
}

fn item<T: Decodable>(raw: &mut &[u8]) -> Option<T> {
    T::decode(raw).ok()
}

fn list<'r>(raw: &mut &'r [u8]) -> Option<&'r [u8]> {
    Header::decode_bytes(raw, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_without_the_key_reads_none() {
        let mut raw = vec![DEV_TYPE];
        raw.extend([0; 80]);
        assert_eq!(decode(&raw, &ChainConfig::new(1)), None);
        assert_eq!(decode(&raw, &ChainConfig { dev_control_key: Some([7; 32]), ..ChainConfig::new(1) }), None);
        assert_eq!(decode(&[DEV_TYPE], &ChainConfig { dev_control_key: Some([7; 32]), ..ChainConfig::new(1) }), None);
    }
}
