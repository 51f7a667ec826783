//! Transactions of the Oasis SDK's own format, beside Ethereum's.
//!
//! Raw, one is the CBOR array `[body, [{signature}, …]]`: a proof for each signer that the body names, all over the
//! body in the context of this ParaTime on this network. Source: oasis-sdk
//! `runtime-sdk/src/types/{transaction,address}.rs` @ 00da39c. Differs: keys are Ed25519 or secp256k1, not Sr25519, whose
//! signers are refused as malformed; what is paid is the whole part of the fee per gas.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use secp256k1::PublicKey;
use state_core::cbor::{self, Fields, Value};

use crate::{
    config::ChainConfig,
    crypto::{Algorithm, sha512_256, verify},
    envelope::Call,
    layout::{OasisAddress, oasis_address, placeholder_address, staking_address},
    multisig::Multisig,
    transaction::Transaction,
};

/// First byte of the raw transaction: an array of two.
pub const SDK_TYPE: u8 = 0x82;
/// Signers of one transaction. An instance signs with its attestation key and each of its extra keys.
pub const MAX_SIGNERS: usize = 8;
const VERSION: u64 = 1;

/// A public key that can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ed25519, as of consensus.
    Ed25519([u8; 32]),
    /// secp256k1, compressed, and the Ethereum address that follows from it.
    Secp256k1([u8; 33], Address),
}

impl Key {
    /// Reads `{name: bytes}`, where `secp256k1` goes by another name in addresses.
    pub fn read(value: Value, secp256k1_name: &str) -> Option<Self> {
        let mut fields = Fields::of(value)?;
        let key = match (fields.take("ed25519"), fields.take(secp256k1_name)) {
            (Some(key), None) => Self::Ed25519(key.into_bytes()?.try_into().ok()?),
            (None, Some(key)) => {
                let bytes: [u8; 33] = key.into_bytes()?.try_into().ok()?;
                let point = PublicKey::from_slice(&bytes).ok()?.serialize_uncompressed();
                Self::Secp256k1(bytes, Address::from_slice(&keccak256(&point[1..])[12..]))
            }
            _ => return None,
        };
        fields.is_empty().then_some(key)
    }

    /// `{name: bytes}`, as modules name keys.
    pub fn value(&self) -> Value {
        match self {
            Self::Ed25519(key) => Value::map([("ed25519", Value::Bytes(key.to_vec()))]),
            Self::Secp256k1(key, _) => Value::map([("secp256k1", Value::Bytes(key.to_vec()))]),
        }
    }

    /// The account of whoever has the key.
    pub fn account(&self) -> OasisAddress {
        match self {
            Self::Ed25519(key) => staking_address(key),
            Self::Secp256k1(_, address) => oasis_address(address),
        }
    }

    /// The address by which the EVM knows that account.
    pub fn address(&self) -> Address {
        match self {
            Self::Ed25519(_) => placeholder_address(&self.account()),
            Self::Secp256k1(_, address) => *address,
        }
    }

    /// Whether a signature of a message in a context is of this key.
    pub(crate) fn has_signed(&self, context: &[u8], body: &[u8], signature: &[u8]) -> bool {
        let (algorithm, key) = match self {
            Self::Ed25519(key) => (Algorithm::Ed25519Oasis, key.as_slice()),
            Self::Secp256k1(key, _) => (Algorithm::Secp256k1Oasis, key.as_slice()),
        };
        verify(algorithm, key, context, body, signature) == Ok(true)
    }
}

/// What has to sign for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One key.
    Key(Key),
    /// Several.
    Multisig(Multisig),
}

impl Authority {
    /// The one key, where it is one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Key(key) => Some(key),
            Self::Multisig(_) => None,
        }
    }

    /// The account that is signed for.
    pub fn account(&self) -> OasisAddress {
        match self {
            Self::Key(key) => key.account(),
            Self::Multisig(keys) => keys.account(),
        }
    }

    /// The address by which the EVM knows that account.
    pub fn address(&self) -> Address {
        match self {
            Self::Key(key) => key.address(),
            Self::Multisig(keys) => placeholder_address(&keys.account()),
        }
    }

    /// Signatures that are paid for.
    fn size(&self) -> usize {
        match self {
            Self::Key(_) => 1,
            Self::Multisig(keys) => keys.size(),
        }
    }

    fn has_signed(&self, context: &[u8], body: &[u8], proof: Value) -> Option<bool> {
        let mut proof = Fields::of(proof)?;
        let has_signed = match self {
            Self::Key(key) => key.has_signed(context, body, &proof.take("signature")?.into_bytes()?),
            Self::Multisig(keys) => keys.has_signed(context, body, proof.take("multisig")?),
        };
        Some(has_signed && proof.is_empty())
    }
}

/// Who signed, and the place of the transaction in his sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// What signed for him.
    pub authority: Authority,
    /// Position in his sequence.
    pub nonce: u64,
}

/// What a transaction of this format says that one of Ethereum's does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdkParts {
    /// The first is the sender; there is one.
    pub signers: Vec<Signer>,
    /// Attested app whose rules say who pays.
    pub proxy: Option<OasisAddress>,
    /// First round in which it may run.
    pub not_before: Option<u64>,
    /// Last round in which it may run.
    pub not_after: Option<u64>,
    /// What is to be done.
    pub(crate) call: Call,
}

impl SdkParts {
    /// The sender.
    pub fn sender(&self) -> &Authority {
        &self.signers[0].authority
    }

    /// Signatures that are paid for, whether they were given or not.
    pub fn signatures(&self) -> usize {
        self.signers.iter().map(|signer| signer.authority.size()).sum()
    }
}

/// Decodes, and verifies all signatures; None for what is none, and where the chain takes none.
pub fn decode(raw: &[u8], config: &ChainConfig) -> Option<Transaction> {
    let context = config.sdk_context.as_ref()?;
    let Value::Array(parts) = cbor::decode(raw).ok()? else { return None };
    let [body, proofs] = <[Value; 2]>::try_from(parts).ok()?;
    let (body, Value::Array(proofs)) = (body.into_bytes()?, proofs) else { return None };
    let mut fields = Fields::of(cbor::decode(&body).ok()?)?;
    if fields.take("v")?.as_unsigned()? != VERSION {
        return None;
    }
    let call = Call::from_value(fields.take("call")?).filter(|call| !call.read_only)?;
    let mut info = Fields::of(fields.take("ai")?)?;
    let Value::Array(signers) = info.take("si")? else { return None };
    if signers.is_empty() || signers.len() > MAX_SIGNERS || signers.len() != proofs.len() {
        return None;
    }
    let signers = signers.into_iter().map(signer).collect::<Option<Vec<_>>>()?;
    let fee = Fee::read(info.take("fee")?)?;
    let round = |info: &mut Fields, name| info.take(name).map_or(Some(None), |round| round.as_unsigned().map(Some));
    let (not_before, not_after) = (round(&mut info, "not_before")?, round(&mut info, "not_after")?);
    if !info.is_empty() || !fields.is_empty() {
        return None;
    }
    for (position, (signer, proof)) in signers.iter().zip(proofs).enumerate() {
        let account = signer.authority.account();
        let is_new = signers[..position].iter().all(|other| other.authority.account() != account);
        if !is_new || !signer.authority.has_signed(context, &body, proof)? {
            return None;
        }
    }
    let price = fee.amount.checked_div(u128::from(fee.gas)).unwrap_or(0);
    Some(Transaction {
        hash: B256::from(sha512_256(&[raw])),
        sender: signers[0].authority.address(),
        tx_type: SDK_TYPE,
        chain_id: None,
        nonce: signers[0].nonce,
        gas_limit: fee.gas,
        max_fee: price,
        max_tip: price,
        to: None,
        value: U256::ZERO,
        input: Bytes::new(),
        access_list: None,
        authorizations: Vec::new(),
        v: 0,
        r: U256::ZERO,
        s: U256::ZERO,
        size: raw.len(),
        edit: None,
        sdk: Some(Box::new(SdkParts { signers, proxy: fee.proxy, not_before, not_after, call })),
    })
}

fn signer(value: Value) -> Option<Signer> {
    let mut fields = Fields::of(value)?;
    let mut spec = Fields::of(fields.take("address_spec")?)?;
    let authority = match (spec.take("signature"), spec.take("multisig")) {
        (Some(key), None) => Authority::Key(Key::read(key, "secp256k1eth")?),
        (None, Some(keys)) => Authority::Multisig(Multisig::read(keys)?),
        _ => return None,
    };
    let nonce = fields.take("nonce").map_or(Some(0), |nonce| nonce.as_unsigned())?;
    (fields.is_empty() && spec.is_empty()).then_some(Signer { authority, nonce })
}

struct Fee {
    amount: u128,
    gas: u64,
    proxy: Option<OasisAddress>,
}

impl Fee {
    fn read(value: Value) -> Option<Self> {
        let mut fields = Fields::of(value)?;
        let Value::Array(parts) = fields.take("amount")? else { return None };
        let [units, denomination] = <[Value; 2]>::try_from(parts).ok()?;
        let amount = u128::try_from(U256::try_from_be_slice(&units.into_bytes()?)?).ok()?;
        let is_native = denomination.into_bytes()?.is_empty();
        let gas = fields.take("gas").map_or(Some(0), |gas| gas.as_unsigned())?;
        // How many messages it may send is bounded for the round.
        fields.take("consensus_messages").map_or(Some(0), |count| count.as_unsigned())?;
        let proxy = match fields.take("proxy") {
            None => None,
            Some(proxy) => {
                let mut proxy = Fields::of(proxy)?;
                let is_rofl = matches!(proxy.take("module")?, Value::Text(module) if module == "rofl");
                let id = proxy.take("id")?.into_bytes()?.try_into().ok()?;
                // Nobody else pays for others.
                (is_rofl && proxy.is_empty()).then_some(Some(id))?
            }
        };
        (fields.is_empty() && (is_native || amount == 0)).then_some(Self { amount, gas, proxy })
    }
}
