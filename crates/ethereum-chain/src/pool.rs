//! Transactions that clients hand in: whether they could be in a next block.

use alloy_consensus::{Transaction, Typed2718, transaction::SignerRecoverable};
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, Bytes, U256};
use alloy_rlp::Header as Rlp;
use serde_json::{Value, json};

use crate::{
    chain::Chain,
    failure::{Result, SERVER_ERROR, refused},
    ledger::Envelope,
    shown,
};

/// Type of transactions with blobs (EIP-4844).
const BLOB_TYPE: u8 = 3;

impl Chain<'_> {
    /// Reads and checks a signed transaction against the newest state: JSON of `hash`, `sender`, `nonce`, `raw` and
    /// what is `shown` of it. Blobs that come with it are neither kept nor verified.
    ///
    /// # Errors
    /// `Refused`: it cannot be read, or could be in no block after this one.
    ///
    /// Source: go-ethereum `core/txpool/validation.go`.
    pub fn admit(&self, raw: &[u8]) -> Result<Value> {
        let envelope = decode(raw)?;
        let sender = sender(&envelope)?;
        let header = &self.newest().block.header;
        let chain_id = self.newest().rules.cfg.chain_id;
        if envelope.chain_id().is_some_and(|named| named != chain_id) {
            return Err(refused(SERVER_ERROR, "invalid chain id for signer"));
        }
        if envelope.gas_limit() > header.gas_limit {
            return Err(refused(SERVER_ERROR, "exceeds block gas limit"));
        }
        let (next, balance, _) = self.account(header.number, sender)?;
        let nonce = envelope.nonce();
        if nonce < next {
            return Err(refused(SERVER_ERROR, format!("nonce too low: next nonce {next}, tx nonce {nonce}")));
        }
        let blob_cost = u128::from(envelope.blob_gas_used().unwrap_or_default())
            .saturating_mul(envelope.max_fee_per_blob_gas().unwrap_or_default());
        let gas_cost = u128::from(envelope.gas_limit()).saturating_mul(envelope.max_fee_per_gas());
        let cost = U256::from(gas_cost).saturating_add(U256::from(blob_cost)).saturating_add(envelope.value());
        if balance < cost {
            let why = format!("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}");
            return Err(refused(SERVER_ERROR, why));
        }
        Ok(json!({
            "hash": envelope.tx_hash(),
            "sender": shown::lower(sender),
            "nonce": nonce,
            "raw": Bytes::from(envelope.encoded_2718()),
            "shown": shown::transaction(&envelope, sender, None),
        }))
    }
}

/// A signed transaction, of which the blobs are left off.
pub fn decode(raw: &[u8]) -> Result<Envelope> {
    let unreadable = || refused(SERVER_ERROR, "rlp: expected List");
    let bare = bare_of(raw).ok_or_else(unreadable)?;
    let mut rest = bare.as_slice();
    let envelope = Envelope::decode_2718(&mut rest).map_err(|error| refused(SERVER_ERROR, error.to_string()))?;
    if rest.is_empty() { Ok(envelope) } else { Err(unreadable()) }
}

/// Who signed it.
pub fn sender(envelope: &Envelope) -> Result<Address> {
    envelope.recover_signer().map_err(|_| refused(SERVER_ERROR, "invalid sender"))
}

/// Whether it carries blobs, which no block is built with here.
pub fn has_blobs(envelope: &Envelope) -> bool {
    envelope.ty() == BLOB_TYPE
}

/// The form of EIP-4844 for networks is a list whose first item is the transaction.
fn bare_of(raw: &[u8]) -> Option<Vec<u8>> {
    let Some((&BLOB_TYPE, mut list)) = raw.split_first() else { return Some(raw.to_vec()) };
    let outer = Rlp::decode(&mut list).ok().filter(|outer| outer.list)?;
    let body = list.get(..outer.payload_length)?;
    let mut first = body;
    let inner = Rlp::decode(&mut first).ok()?;
    if !inner.list {
        return Some(raw.to_vec());
    }
    let length = body.len() - first.len() + inner.payload_length;
    Some([&[BLOB_TYPE], body.get(..length)?].concat())
}
