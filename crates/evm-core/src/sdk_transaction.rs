//! Transactions of the Oasis SDK's own format, beside Ethereum's.
//!
//! Raw, one is the CBOR array `[body, [{signature}, …]]`: a proof for each signer that the body names, all over the
//! body in the context of this ParaTime on this network. Source: oasis-sdk
//! `runtime-sdk/src/types/transaction.rs` @ 00da39c. Differs: what is paid is the whole part of the fee per gas.

use alloy_primitives::{Address, B256, Bytes, U256};
use state_core::cbor::{self, Fields, Value};
use thiserror::Error;

use crate::{
    config::ChainConfig,
    crypto::sha512_256,
    envelope::Call,
    errors::ModuleError,
    failure::core,
    keys::{Key, KeyError},
    layout::{OasisAddress, placeholder_address},
    modules::MAX_MESSAGES,
    multisig::{Multisig, MultisigError},
    transaction::Transaction,
};

/// First byte of the raw transaction: an array of two.
pub const SDK_TYPE: u8 = 0x82;
/// Signers of one transaction. An instance signs with its attestation key and each of its extra keys.
pub const MAX_SIGNERS: usize = 8;
const VERSION: u64 = 1;

/// Why raw bytes are no transaction that somebody signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SdkTransactionError {
    /// They are none, or the chain takes none.
    #[error("malformed transaction")]
    Malformed,
    /// There are more signers than [`MAX_SIGNERS`].
    #[error("too many authentication slots")]
    TooManySigners,
    /// The key of a signer is not taken.
    #[error("malformed transaction: {0}")]
    Key(#[from] KeyError),
    /// Several keys of a signer are not taken together.
    #[error("malformed transaction: {0}")]
    Multisig(MultisigError),
    /// A multisig account has more keys than may be.
    #[error("multisig too many signers")]
    TooManyKeys,
    /// A signature is missing or wrong.
    #[error("malformed transaction: signature verification failed")]
    Signature,
}

impl From<MultisigError> for SdkTransactionError {
    fn from(error: MultisigError) -> Self {
        match error {
            MultisigError::TooManyKeys => Self::TooManyKeys,
            MultisigError::Key(error) => Self::Key(error),
            MultisigError::Invalid => Self::Multisig(error),
        }
    }
}

impl From<SdkTransactionError> for ModuleError {
    fn from(error: SdkTransactionError) -> Self {
        let code = match error {
            SdkTransactionError::TooManySigners => 15,
            SdkTransactionError::TooManyKeys => 16,
            _ => 1,
        };
        core(code, error.to_string())
    }
}

/// What has to sign for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One key, and its account.
    Key(Key, OasisAddress),
    /// Several.
    Multisig(Multisig),
}

impl Authority {
    /// The one key, where it is one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Key(key, _) => Some(key),
            Self::Multisig(_) => None,
        }
    }

    /// The account that is signed for.
    pub fn account(&self) -> OasisAddress {
        match self {
            Self::Key(_, account) => *account,
            Self::Multisig(keys) => keys.account(),
        }
    }

    /// The address by which Ethereum knows that account, where it does.
    pub fn ethereum(&self) -> Option<Address> {
        match self {
            Self::Key(Key::Secp256k1(_, address), _) => Some(*address),
            _ => None,
        }
    }

    /// The address by which the EVM knows that account.
    pub fn address(&self) -> Address {
        self.ethereum().unwrap_or_else(|| placeholder_address(&self.account()))
    }

    /// Signatures that are paid for.
    fn size(&self) -> usize {
        match self {
            Self::Key(..) => 1,
            Self::Multisig(keys) => keys.size(),
        }
    }

    fn has_signed(&self, context: &[u8], body: &[u8], proof: Value) -> Option<bool> {
        let mut proof = Fields::of(proof)?;
        let has_signed = match self {
            Self::Key(key, _) => key.has_signed(context, body, &proof.take("signature")?.into_bytes()?),
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

    /// Whether the call, and so the answer, is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.call.is_encrypted()
    }

    /// Whether it asks for tokens of consensus, in the clear.
    pub fn is_deposit(&self) -> bool {
        self.call.method == "consensus.Deposit"
    }

    /// Signatures that are paid for, whether they were given or not.
    pub fn signatures(&self) -> usize {
        self.signers.iter().map(|signer| signer.authority.size()).sum()
    }
}

/// Decodes, and verifies all signatures.
///
/// # Errors
/// See [`SdkTransactionError`].
pub fn decode(raw: &[u8], config: &ChainConfig) -> Result<Transaction, SdkTransactionError> {
    let context = config.sdk_context.as_ref().ok_or(SdkTransactionError::Malformed)?;
    let (form, parts) = read(raw)?;
    for (signer, proof) in parts.signers.iter().zip(form.proofs) {
        if signer.authority.has_signed(context, &form.body, proof) != Some(true) {
            return Err(SdkTransactionError::Signature);
        }
    }
    Ok(assemble(raw, form.fee, parts))
}

/// Reads a transaction that nobody has signed yet, as if its signatures were there and its fee were any.
///
/// # Errors
/// See [`SdkTransactionError`]; signatures are not looked at.
pub(crate) fn unsigned(transaction: Value, gas_limit: u64) -> Result<Transaction, SdkTransactionError> {
    let raw = sealed_with_nothing(transaction, gas_limit).ok_or(SdkTransactionError::Malformed)?;
    let (form, parts) = read(&raw)?;
    Ok(assemble(&raw, form.fee, parts))
}

/// Bytes of a transaction with signatures of zeros, as long as these may be. Source: oasis-sdk
/// `runtime-sdk/src/modules/core/mod.rs` @ 00da39c, `query_estimate_gas`. Differs: there all are of 64 bytes, which
/// those of ECDSA are over.
fn sealed_with_nothing(transaction: Value, gas_limit: u64) -> Option<Vec<u8>> {
    let Value::Map(mut fields) = transaction else { return None };
    let (_, Value::Map(info)) = fields.iter_mut().find(|(key, _)| *key == Value::Text("ai".into()))? else {
        return None;
    };
    let named = |name: &str| Value::Text(name.into());
    let Value::Array(signers) = info.iter().find(|(key, _)| *key == named("si"))?.1.clone() else { return None };
    let fee = info.iter_mut().find(|(key, _)| *key == named("fee"));
    let proxy = match fee.as_deref() {
        Some((_, Value::Map(fee))) => {
            fee.iter().find(|(key, _)| *key == named("proxy")).map(|(_, proxy)| proxy.clone())
        }
        _ => None,
    };
    info.retain(|(key, _)| *key != named("fee"));
    let amount = vec![Value::Bytes(u64::MAX.to_be_bytes().to_vec()), Value::Bytes(Vec::new())];
    let mut fee = vec![
        (named("gas"), Value::Unsigned(gas_limit)),
        (named("amount"), Value::Array(amount)),
        (named("consensus_messages"), Value::Unsigned(MAX_MESSAGES as u64)),
    ];
    fee.extend(proxy.map(|proxy| (named("proxy"), proxy)));
    info.push((named("fee"), Value::Map(fee)));
    let proofs = signers.into_iter().map(|signer| {
        let mut spec = Fields::of(Fields::of(signer)?.take("address_spec")?)?;
        Some(match spec.take("multisig") {
            None => Value::map([("signature", no_signature(&spec.take("signature")?)?)]),
            Some(keys) => {
                let Value::Array(keys) = Fields::of(keys)?.take("signers")? else { return None };
                let of_key = |key| no_signature(&Fields::of(key)?.take("public_key")?);
                let signatures = keys.into_iter().map(of_key).collect::<Option<_>>()?;
                Value::map([("multisig", Value::Array(signatures))])
            }
        })
    });
    let proofs = Value::Array(proofs.collect::<Option<_>>()?);
    Some(cbor::encode(&Value::Array(vec![Value::Bytes(cbor::encode(&Value::Map(fields))), proofs])))
}

/// What stands for the signature of a key, `{scheme: bytes}`.
fn no_signature(key: &Value) -> Option<Value> {
    let Value::Map(entries) = key else { return None };
    let Some((Value::Text(scheme), _)) = entries.first() else { return None };
    let length = match scheme.as_str() {
        "secp256k1eth" | "secp256k1" | "secp256r1" => 72,
        "secp384r1" => 104,
        _ => 64,
    };
    Some(Value::Bytes(vec![0; length]))
}

/// Form and signers; no two of these are of one account.
fn read(raw: &[u8]) -> Result<(Form, SdkParts), SdkTransactionError> {
    let mut form = Form::read(raw).ok_or(SdkTransactionError::Malformed)?;
    if form.signers.len() > MAX_SIGNERS {
        return Err(SdkTransactionError::TooManySigners);
    }
    let signers = std::mem::take(&mut form.signers).into_iter().map(signer).collect::<Result<Vec<_>, _>>()?;
    let accounts: Vec<_> = signers.iter().map(|signer| signer.authority.account()).collect();
    if (0..accounts.len()).any(|at| accounts[..at].contains(&accounts[at])) {
        return Err(SdkTransactionError::Malformed);
    }
    let parts = SdkParts {
        signers,
        proxy: form.fee.proxy,
        not_before: form.not_before,
        not_after: form.not_after,
        call: form.call.clone(),
    };
    Ok((form, parts))
}

fn assemble(raw: &[u8], fee: Fee, parts: SdkParts) -> Transaction {
    let price = fee.amount.checked_div(u128::from(fee.gas)).unwrap_or(0);
    Transaction {
        hash: B256::from(sha512_256(&[raw])),
        sender: parts.sender().address(),
        tx_type: SDK_TYPE,
        chain_id: None,
        nonce: parts.signers[0].nonce,
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
        sdk: Some(Box::new(parts)),
    }
}

/// A transaction whose signers are not read yet; there is one at least, and a proof of each.
struct Form {
    body: Vec<u8>,
    signers: Vec<Value>,
    proofs: Vec<Value>,
    fee: Fee,
    not_before: Option<u64>,
    not_after: Option<u64>,
    call: Call,
}

impl Form {
    fn read(raw: &[u8]) -> Option<Self> {
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
        if signers.is_empty() || signers.len() != proofs.len() {
            return None;
        }
        let fee = Fee::read(info.take("fee")?)?;
        let round = |info: &mut Fields, name| match info.take(name) {
            None => Some(None),
            Some(round) => round.as_unsigned().map(Some),
        };
        let (not_before, not_after) = (round(&mut info, "not_before")?, round(&mut info, "not_after")?);
        let is_all = info.is_empty() && fields.is_empty();
        is_all.then_some(Self { body, signers, proofs, fee, not_before, not_after, call })
    }
}

fn signer(value: Value) -> Result<Signer, SdkTransactionError> {
    let malformed = || SdkTransactionError::Malformed;
    let mut fields = Fields::of(value).ok_or_else(malformed)?;
    let mut spec = fields.take("address_spec").and_then(Fields::of).ok_or_else(malformed)?;
    let authority = match (spec.take("signature"), spec.take("multisig")) {
        (Some(key), None) => {
            let (key, account) = Key::read_with_account(key)?;
            Authority::Key(key, account)
        }
        (None, Some(keys)) => Authority::Multisig(Multisig::read(keys)?),
        _ => return Err(malformed()),
    };
    let nonce = fields.take("nonce").map_or(Some(0), |nonce| nonce.as_unsigned()).ok_or_else(malformed)?;
    (fields.is_empty() && spec.is_empty()).then_some(Signer { authority, nonce }).ok_or_else(malformed)
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
