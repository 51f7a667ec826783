//! Simulated calls as the transactions that they would be, without signatures.

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_primitives::{Signature, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;

use crate::{
    failure::{Result, SERVER_ERROR, refused},
    ledger::Envelope,
    stage::data_of,
};

/// A call and what it leaves out.
pub struct Fields<'c> {
    /// As clients send it.
    pub call: &'c TransactionRequest,
    /// Of the chain.
    pub chain_id: u64,
    /// Of the sender.
    pub nonce: u64,
    /// Limit [gas].
    pub gas: u64,
}

impl Fields<'_> {
    /// The transaction that it would be, without a signature.
    ///
    /// Source: go-ethereum `internal/ethapi/transaction_args.go` (`ToTransaction`).
    pub fn envelope(self, has_fees: bool) -> Result<Envelope> {
        let Self { call, chain_id, nonce, gas: gas_limit } = self;
        let to = call.to.unwrap_or(TxKind::Create);
        let (value, input) = (call.value.unwrap_or_default(), data_of(call)?);
        let max_fee_per_gas = call.max_fee_per_gas.unwrap_or_default();
        let max_priority_fee_per_gas = call.max_priority_fee_per_gas.unwrap_or_default();
        let access_list = call.access_list.clone().unwrap_or_default();
        let target =
            || to.to().copied().ok_or_else(|| refused(SERVER_ERROR, "a transaction of this type has a target"));
        if let Some(gas_price) = call.gas_price {
            // As go-ethereum: without its chain.
            return Ok(sign(TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to, value, input }));
        }
        Ok(if let Some(authorization_list) = call.authorization_list.clone() {
            sign(TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: target()?,
                value,
                access_list,
                authorization_list,
                input,
            })
        } else if let Some(blob_versioned_hashes) = call.blob_versioned_hashes.clone() {
            let max_fee_per_blob_gas = call.max_fee_per_blob_gas.unwrap_or_default();
            sign(TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: target()?,
                value,
                access_list,
                blob_versioned_hashes,
                max_fee_per_blob_gas,
                input,
            })
        } else if has_fees {
            sign(TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            })
        } else if call.access_list.is_some() {
            sign(TxEip2930 { chain_id, nonce, gas_price: 0, gas_limit, to, value, access_list, input })
        } else {
            sign(TxLegacy { chain_id: None, nonce, gas_price: 0, gas_limit, to, value, input })
        })
    }
}

fn sign<T: SignableTransaction<Signature>>(transaction: T) -> Envelope
where
    EthereumTxEnvelope<TxEip4844>: From<alloy_consensus::Signed<T>>,
{
    transaction.into_signed(Signature::new(U256::ZERO, U256::ZERO, false)).into()
}
