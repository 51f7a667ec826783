//! The envelope around calldata: how to tell it from ordinary calldata, open it, and seal the answer.
//!
//! Source: oasis-sdk `runtime-sdk/src/callformat.rs`, `src/types/{callformat,transaction}.rs`,
//! `modules/evm/src/lib.rs` (`decode_call_data`) @ 00da39c.

use std::fmt;

use thiserror::Error;

use crate::crypto::{NONCE_BYTES, deoxysii_open, deoxysii_seal, mrae_key};
use crate::errors::ModuleError;
use state_core::cbor::{self, Fields, Value};

/// How many epochs back a client's key is still accepted. Upstream's limit: half of what the key manager allows.
pub const MAX_KEY_AGE_EPOCHS: u64 = 5;

const PLAIN: u64 = 0;
const ENCRYPTED_X25519_DEOXYSII: u64 = 1;

/// Why an envelope was refused. All are `core` code 18, `invalid call format: <this>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// An encrypted call must not name a method outside.
    #[error("non-empty method")]
    NonEmptyMethod,
    /// The body is no encrypted envelope.
    #[error("bad call envelope")]
    BadEnvelope,
    /// The key belongs to an epoch that has not begun.
    #[error("epoch in the future")]
    FutureEpoch,
    /// The key is older than [`MAX_KEY_AGE_EPOCHS`].
    #[error("epoch too far in the past")]
    PastEpoch,
    /// There is no key of that epoch.
    #[error("invalid epoch")]
    InvalidEpoch,
    /// The ciphertext was not made for this key.
    #[error("Tag verification failed")]
    InvalidTag,
    /// The plaintext is no call.
    #[error("malformed call")]
    MalformedCall,
    /// Inside and outside disagree on whether the call may write.
    #[error("read-only flag mismatch")]
    ReadOnlyMismatch,
    /// The body of the call is no byte string.
    #[error("invalid inner data")]
    InvalidInnerData,
}

impl From<EnvelopeError> for ModuleError {
    fn from(error: EnvelopeError) -> Self {
        Self { module: "core", code: 18, message: format!("invalid call format: {error}") }
    }
}

/// Calldata as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Ordinary calldata: anything that is not strictly a call in CBOR.
    Plain(Vec<u8>),
    /// Calldata in an envelope that encrypts nothing. The answer is not wrapped.
    Format0 {
        /// What the contract sees.
        data: Vec<u8>,
        /// Whether the call may not write.
        read_only: bool,
    },
    /// Encrypted calldata.
    Encrypted(Sealed),
}

/// An encrypted envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The client's ephemeral X25519 key.
    pub public_key: [u8; 32],
    /// Nonce of the request.
    pub nonce: [u8; NONCE_BYTES],
    /// Epoch of the runtime's key, 0 when the client does not say.
    pub epoch: u64,
    /// Ciphertext and tag.
    pub data: Vec<u8>,
    /// Whether the call may not write.
    pub read_only: bool,
}

/// An opened envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the contract sees.
    pub data: Vec<u8>,
    /// Key the answer is sealed with.
    pub key: [u8; 32],
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// The outer form of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    format: u64,
    /// `module.Method`; empty where the call is encrypted.
    pub(crate) method: String,
    /// Arguments, or what they are encrypted in.
    pub(crate) body: Value,
    /// Whether it may change nothing.
    pub(crate) read_only: bool,
}

impl Call {
    /// `None` unless the value is a call and nothing else. Each field may be absent, null or undefined; a bare null
    /// or undefined is the default call.
    pub(crate) fn from_value(value: Value) -> Option<Self> {
        let mut fields = if value.is_nothing() { Fields::default() } else { Fields::of(value)? };
        let call = Self {
            format: fields.take("format").map_or(Some(PLAIN), |format| format.as_unsigned())?,
            method: match fields.take("method") {
                None => String::new(),
                Some(Value::Text(method)) => method,
                Some(_) => return None,
            },
            body: fields.take("body").unwrap_or(Value::Null),
            read_only: match fields.take("ro") {
                None => false,
                Some(Value::Bool(read_only)) => read_only,
                Some(_) => return None,
            },
        };
        (fields.is_empty() && call.format <= ENCRYPTED_X25519_DEOXYSII).then_some(call)
    }

    /// Whether somebody must open it first.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.format != PLAIN
    }

    fn into_envelope(self) -> Result<Envelope, EnvelopeError> {
        if self.format == PLAIN {
            let data = self.body.into_bytes().ok_or(EnvelopeError::InvalidInnerData)?;
            return Ok(Envelope::Format0 { data, read_only: self.read_only });
        }
        if !self.method.is_empty() {
            return Err(EnvelopeError::NonEmptyMethod);
        }
        let sealed = Sealed::from_value(self.body, self.read_only).ok_or(EnvelopeError::BadEnvelope)?;
        Ok(Envelope::Encrypted(sealed))
    }
}

impl Sealed {
    fn from_value(body: Value, read_only: bool) -> Option<Self> {
        let mut fields = Fields::of(body)?;
        let sealed = Self {
            public_key: fields.take("pk")?.into_bytes()?.try_into().ok()?,
            nonce: fields.take("nonce")?.into_bytes()?.try_into().ok()?,
            epoch: fields.take("epoch").map_or(Some(0), |epoch| epoch.as_unsigned())?,
            data: fields.take("data").map_or(Some(Vec::new()), Value::into_bytes)?,
            read_only,
        };
        fields.is_empty().then_some(sealed)
    }
}

/// Whether a value is a call in CBOR, as the data of a signed query must be.
pub(crate) fn is_call(value: &Value) -> bool {
    Call::from_value(value.clone()).is_some()
}

/// Tell an envelope from ordinary calldata.
///
/// # Errors
/// It is a call in CBOR, but a faulty one: see [`EnvelopeError`].
pub fn parse(data: &[u8]) -> Result<Envelope, ModuleError> {
    match cbor::decode(data).ok().and_then(Call::from_value) {
        Some(call) => Ok(call.into_envelope()?),
        None => Ok(Envelope::Plain(data.to_vec())),
    }
}

/// Open a call that may be encrypted; gives it with the key of its answer. `secret_of` as in [`open`].
///
/// # Errors
/// See [`EnvelopeError`].
pub(crate) fn open_call(
    call: &Call,
    current_epoch: u64,
    secret_of: &dyn Fn(u64) -> Option<[u8; 32]>,
) -> Result<(Call, Option<[u8; 32]>), ModuleError> {
    if !call.is_encrypted() {
        return Ok((call.clone(), None));
    }
    if !call.method.is_empty() {
        return Err(EnvelopeError::NonEmptyMethod.into());
    }
    let sealed = Sealed::from_value(call.body.clone(), call.read_only).ok_or(EnvelopeError::BadEnvelope)?;
    let (plaintext, key) = decrypt(&sealed, current_epoch, secret_of)?;
    let inner = cbor::decode(&plaintext).ok().and_then(Call::from_value).ok_or(EnvelopeError::MalformedCall)?;
    if inner.is_encrypted() {
        return Err(EnvelopeError::MalformedCall.into());
    }
    if inner.read_only != call.read_only {
        return Err(EnvelopeError::ReadOnlyMismatch.into());
    }
    Ok((inner, Some(key)))
}

/// The result of an encrypted call of the SDK's format: `{unknown: {data, nonce}}`, where data opens to the result.
pub(crate) fn seal_call_result(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], result: &Value) -> Value {
    let data = deoxysii_seal(key, nonce, &cbor::encode(result), &[]);
    let envelope = Value::map([("data", Value::Bytes(data)), ("nonce", Value::Bytes(nonce.to_vec()))]);
    Value::map([("unknown", envelope)])
}

/// Open an encrypted envelope. `secret_of` gives the X25519 secret of an epoch, if there is one.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn open(
    sealed: &Sealed,
    current_epoch: u64,
    secret_of: &dyn Fn(u64) -> Option<[u8; 32]>,
) -> Result<Opened, ModuleError> {
    let (plaintext, key) = decrypt(sealed, current_epoch, secret_of)?;
    let call = cbor::decode(&plaintext).ok().and_then(Call::from_value).ok_or(EnvelopeError::MalformedCall)?;
    if call.read_only != sealed.read_only {
        return Err(EnvelopeError::ReadOnlyMismatch.into());
    }
    let data = call.body.into_bytes().ok_or(EnvelopeError::InvalidInnerData)?;
    Ok(Opened { data, key })
}

type Decrypted = (Vec<u8>, [u8; 32]);

fn decrypt(
    sealed: &Sealed,
    current: u64,
    secret_of: &dyn Fn(u64) -> Option<[u8; 32]>,
) -> Result<Decrypted, EnvelopeError> {
    let try_epoch = |epoch: u64| {
        let secret = secret_of(epoch).ok_or(EnvelopeError::InvalidEpoch)?;
        let key = mrae_key(&secret, &sealed.public_key);
        let plaintext = deoxysii_open(&key, &sealed.nonce, &sealed.data, &[]).map_err(|_| EnvelopeError::InvalidTag)?;
        Ok((plaintext, key))
    };
    match sealed.epoch {
        // The epoch may just have changed under the client.
        0 => try_epoch(current).or_else(|error| current.checked_sub(1).map_or(Err(error), try_epoch)),
        epoch if epoch > current => Err(EnvelopeError::FutureEpoch),
        epoch if epoch < current.saturating_sub(MAX_KEY_AGE_EPOCHS) => Err(EnvelopeError::PastEpoch),
        epoch => try_epoch(epoch),
    }
}

/// What an encrypted call that succeeded gets back: `{ok: {data, nonce}}`, where data opens to `{ok: output}`.
pub fn seal_ok(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], output: &[u8]) -> Vec<u8> {
    seal_result(key, nonce, Value::map([("ok", Value::Bytes(output.to_vec()))]))
}

/// The same around a failure, as clients must understand it: data opens to `{fail: {code, module, message}}`.
pub fn seal_fail(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], error: &ModuleError) -> Vec<u8> {
    let failure = Value::map([
        ("code", Value::Unsigned(error.code.into())),
        ("module", Value::Text(error.module.into())),
        ("message", Value::Text(error.message.clone())),
    ]);
    seal_result(key, nonce, Value::map([("fail", failure)]))
}

fn seal_result(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], result: Value) -> Vec<u8> {
    let data = deoxysii_seal(key, nonce, &cbor::encode(&result), &[]);
    let envelope = Value::map([("data", Value::Bytes(data)), ("nonce", Value::Bytes(nonce.to_vec()))]);
    cbor::encode(&Value::map([("ok", envelope)]))
}
