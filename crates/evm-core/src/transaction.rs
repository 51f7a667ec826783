//! Transactions as they arrive: decoded, with their sender recovered. Those that are not Ethereum's come in the same
//! form.

use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844, transaction::SignerRecoverable};
use alloy_eips::{Decodable2718, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use revm::primitives::hardfork::SpecId;

use crate::{
    config::{CALL_FORMAT_GAS, ChainConfig, SIGNATURE_GAS, TX_BYTE_GAS},
    crypto::sha512_256,
    dev_transaction::{self, DEV_TYPE, Edit},
    errors::ModuleError,
    failure::core,
    layout::{OasisAddress, oasis_address},
    sdk_transaction::{self, SDK_TYPE, SdkParts},
};

/// CBOR around the raw transaction: array of two, and the auth proof `[{module: "evm.ethereum.v0"}]`.
const ENVELOPE_BYTES: u64 = 1 + 25;
/// Gas of an Ethereum transaction that calls [gas].
const CALL_GAS: u64 = 21_000;
/// Gas of an Ethereum transaction that creates [gas].
const CREATE_GAS: u64 = 53_000;
/// Gas of an authorization; what its account does not need is refunded (EIP-7702) [gas].
const AUTHORIZATION_GAS: u64 = 25_000;

/// A transaction whose signature is valid. Everything an answer needs later is in here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub struct Transaction {
    /// Keccak-256 of the raw bytes; of the SDK's format, SHA-512/256.
    pub hash: B256,
    /// Who signed.
    pub sender: Address,
    /// 0, 1 or 2, and 4 where the fork has it; [`SDK_TYPE`] in the SDK's format.
    pub tx_type: u8,
    /// EIP-155 chain id; None for an old legacy transaction, which is valid on any chain.
    pub chain_id: Option<u64>,
    /// Position in the sender's sequence.
    pub nonce: u64,
    /// Gas limit [gas].
    pub gas_limit: u64,
    /// Most the sender pays for a unit of gas [base units/gas].
    pub max_fee: u128,
    /// Tip over the minimum price; equals `max_fee` before type 2 [base units/gas].
    pub max_tip: u128,
    /// Account called; None creates a contract.
    pub to: Option<Address>,
    /// Value sent [base units].
    pub value: U256,
    /// Calldata as sent: plain or an envelope.
    pub input: Bytes,
    /// Accepted in types 1, 2 and 4; neither charged nor used.
    pub access_list: Option<AccessList>,
    /// Accounts that take on code, in type 4 (EIP-7702).
    pub authorizations: Vec<SignedAuthorization>,
    /// As RPC shows it: 27/28 or EIP-155 for legacy, the parity otherwise.
    pub v: u64,
    /// Signature.
    pub r: U256,
    /// Signature, in the lower half.
    pub s: U256,
    /// Raw length [bytes].
    pub size: usize,
    /// What it changes instead of running anything.
    pub edit: Option<Edit>,
    /// What it says more in the SDK's format.
    pub sdk: Option<Box<SdkParts>>,
}

impl Transaction {
    /// Decodes and recovers. Errors are `core` 1 (malformed), 15 and 16 (too many signers) and 23 (too large).
    pub fn decode(raw: &[u8], config: &ChainConfig) -> Result<Self, ModuleError> {
        if raw.len() > config.max_tx_bytes {
            return Err(core(23, "transaction is too large"));
        }
        let malformed = || core(1, "malformed transaction");
        if raw.first() == Some(&DEV_TYPE) {
            return dev_transaction::decode(raw, config).ok_or_else(malformed);
        }
        if raw.first() == Some(&SDK_TYPE) {
            return sdk_transaction::decode(raw, config).map_err(ModuleError::from);
        }
        let envelope = EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(raw).map_err(|_| malformed())?;
        match &envelope {
            EthereumTxEnvelope::Eip4844(_) if config.confidential => return Err(malformed()),
            EthereumTxEnvelope::Eip4844(_) => {
                return Err(core(
                    1,
                    "malformed transaction: there are no blobs here, a ParaTime has no place for them",
                ));
            }
            EthereumTxEnvelope::Eip7702(_) if !config.fork.is_enabled_in(SpecId::PRAGUE) => return Err(malformed()),
            EthereumTxEnvelope::Eip7702(signed) if signed.tx().authorization_list.is_empty() => {
                return Err(core(1, "malformed transaction: the list of authorizations is empty"));
            }
            _ => {}
        }
        if envelope.chain_id().is_some_and(|chain_id| chain_id != config.chain_id) {
            return Err(malformed());
        }
        let max_fee = envelope.max_fee_per_gas();
        let max_tip = envelope.max_priority_fee_per_gas().unwrap_or(max_fee);
        if max_tip > max_fee {
            return Err(malformed());
        }
        let sender = envelope.recover_signer().map_err(|_| malformed())?;
        let signature = envelope.signature();
        let parity = u64::from(signature.v());
        let v = match (envelope.is_legacy(), envelope.chain_id()) {
            (false, _) => parity,
            (true, None) => 27 + parity,
            (true, Some(chain_id)) => chain_id.saturating_mul(2).saturating_add(35 + parity),
        };
        Ok(Self {
            hash: keccak256(raw),
            sender,
            tx_type: envelope.tx_type() as u8,
            chain_id: envelope.chain_id(),
            nonce: envelope.nonce(),
            gas_limit: envelope.gas_limit(),
            max_fee,
            max_tip,
            to: envelope.to(),
            value: envelope.value(),
            input: envelope.input().clone(),
            access_list: envelope.access_list().cloned(),
            authorizations: envelope.authorization_list().unwrap_or_default().to_vec(),
            v,
            r: signature.r(),
            s: signature.s(),
            size: raw.len(),
            edit: None,
            sdk: None,
        })
    }

    /// Where the sender's nonce and balance are.
    pub fn account(&self) -> OasisAddress {
        self.sdk.as_ref().map_or_else(|| oasis_address(&self.sender), |sdk| sdk.sender().account())
    }

    /// What it pays for a unit of gas at a minimum price, or `core` 20 when it offers less. A deposit may offer any:
    /// who makes his first one has nothing here to pay from.
    ///
    /// Source: sapphire-paratime `runtime/src/lib.rs` @ 046ab1e, `MIN_GAS_PRICE_EXEMPT_METHODS`.
    pub fn effective_gas_price(&self, min_gas_price: u128) -> Result<u128, ModuleError> {
        if self.max_fee < min_gas_price && !self.sdk.as_ref().is_some_and(|sdk| sdk.is_deposit()) {
            return Err(core(20, "gas price too low"));
        }
        Ok(if matches!(self.tx_type, 2 | 4) {
            self.max_fee.min(min_gas_price.saturating_add(self.max_tip))
        } else {
            self.max_fee
        })
    }

    /// Gas owed before the EVM starts: for its size and for its signature, where the chain charges for these [gas].
    pub fn prepaid_gas(&self, config: &ChainConfig) -> u64 {
        if !config.charges_for_size {
            return 0;
        }
        let length = self.size as u64;
        match &self.sdk {
            Some(sdk) => {
                let opening_gas = if sdk.is_encrypted() { CALL_FORMAT_GAS } else { 0 };
                length * TX_BYTE_GAS + SIGNATURE_GAS * sdk.signatures() as u64 + opening_gas
            }
            None => (length + bytes_header(length) + ENVELOPE_BYTES) * TX_BYTE_GAS + SIGNATURE_GAS,
        }
    }
}

/// Hash by which a raw transaction is known.
pub fn hash_of(raw: &[u8]) -> B256 {
    if raw.first() == Some(&SDK_TYPE) { B256::from(sha512_256(&[raw])) } else { keccak256(raw) }
}

/// Length of the CBOR header of a byte string [bytes].
pub fn bytes_header(length: u64) -> u64 {
    match length {
        0..24 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Gas of a message with authorizations for being a transaction, over the decrypted data [gas].
pub fn gas_to_begin(data: &[u8], creates: bool, authorizations: usize) -> u64 {
    intrinsic_gas(data, creates) + AUTHORIZATION_GAS * authorizations as u64
}

/// Shanghai's gas for being a transaction, over the decrypted data [gas].
pub fn intrinsic_gas(data: &[u8], creates: bool) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let data_gas = 4 * zeros + 16 * (data.len() as u64 - zeros);
    if creates { CREATE_GAS + data_gas + 2 * data.len().div_ceil(32) as u64 } else { CALL_GAS + data_gas }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsic_gas_counts_zeros_words_and_creation() {
        assert_eq!(intrinsic_gas(&[], false), 21_000);
        assert_eq!(intrinsic_gas(&[0, 1], false), 21_020);
        assert_eq!(intrinsic_gas(&[0; 33], true), 53_000 + 132 + 4);
    }

    #[test]
    fn garbage_is_malformed_and_long_garbage_too_large() {
        let config = ChainConfig::new(1);
        assert_eq!(Transaction::decode(b"garbage", &config).unwrap_err().code, 1);
        assert_eq!(Transaction::decode(&[], &config).unwrap_err().code, 1);
        assert_eq!(Transaction::decode(&vec![0xf8; 131_073], &config).unwrap_err().code, 23);
    }
}
