//! The nine signature algorithms that contracts may use.
//!
//! What a failure means to the contract: `Err` fails the call and takes its gas; `Ok(false)` is an answer. The texts
//! are those of upstream.
//!
//! Source: oasis-sdk `runtime-sdk/src/crypto/signature/` and `modules/evm/src/precompile/confidential.rs` @ 00da39c.

mod ecdsa;
mod ed25519;
mod separated;
mod sr25519;

pub use self::separated::{Scheme, sign_separated, verify_separated};

use thiserror::Error;

use super::hash::sha512_256;

/// What the precompiles call `alg`, in the order of its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over SHA-512/256(context ‖ message).
    Ed25519Oasis,
    /// Ed25519 over the message.
    Ed25519Pure,
    /// Ed25519ph without context, over a SHA-512.
    Ed25519PrehashedSha512,
    /// ECDSA on secp256k1 over SHA-512/256(context ‖ message).
    Secp256k1Oasis,
    /// ECDSA on secp256k1 over a Keccak-256.
    Secp256k1PrehashedKeccak256,
    /// ECDSA on secp256k1 over a SHA-256.
    Secp256k1PrehashedSha256,
    /// Schnorrkel in a signing context.
    Sr25519Pure,
    /// ECDSA on P-256 over a SHA-256.
    Secp256r1PrehashedSha256,
    /// ECDSA on P-384 over a SHA-384.
    Secp384r1PrehashedSha384,
}

impl Algorithm {
    const ALL: [Self; 9] = [
        Self::Ed25519Oasis,
        Self::Ed25519Pure,
        Self::Ed25519PrehashedSha512,
        Self::Secp256k1Oasis,
        Self::Secp256k1PrehashedKeccak256,
        Self::Secp256k1PrehashedSha256,
        Self::Sr25519Pure,
        Self::Secp256r1PrehashedSha256,
        Self::Secp384r1PrehashedSha384,
    ];

    /// The algorithm with an id, 0 to 8.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Whether a hash is signed that the caller made.
    pub fn is_prehashed(self) -> bool {
        matches!(
            self,
            Self::Ed25519PrehashedSha512
                | Self::Secp256k1PrehashedKeccak256
                | Self::Secp256k1PrehashedSha256
                | Self::Secp256r1PrehashedSha256
                | Self::Secp384r1PrehashedSha384
        )
    }
}

/// The arguments cannot be used. The text says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SignatureError(pub &'static str);

type Result<T> = std::result::Result<T, SignatureError>;

const BAD_SEED: SignatureError = SignatureError("error creating signer: invalid argument");
const BAD_SECRET: SignatureError = SignatureError("error creating signer: malformed private key");
const BAD_PUBLIC: SignatureError = SignatureError("error reading public key");
const BAD_HASH: SignatureError = SignatureError("error signing message: invalid argument");

/// Public and private key of a seed: 32 bytes, 48 for P-384.
///
/// ECDSA public keys are compressed, their private keys are the seed. An Ed25519 private key is the seed, an Sr25519
/// one is schnorrkel's half-Ed25519 pair (96 bytes).
///
/// # Errors
/// The seed has another length or is no scalar of the curve.
pub fn keypair(algorithm: Algorithm, seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    match algorithm {
        Algorithm::Ed25519Oasis | Algorithm::Ed25519Pure | Algorithm::Ed25519PrehashedSha512 => ed25519::keypair(seed),
        Algorithm::Secp256k1Oasis | Algorithm::Secp256k1PrehashedKeccak256 | Algorithm::Secp256k1PrehashedSha256 => {
            ecdsa::secp256k1_keypair(seed)
        }
        Algorithm::Sr25519Pure => sr25519::keypair(seed),
        Algorithm::Secp256r1PrehashedSha256 => ecdsa::secp256r1_keypair(seed),
        Algorithm::Secp384r1PrehashedSha384 => ecdsa::secp384r1_keypair(seed),
    }
}

/// Sign. Every algorithm is deterministic, so that replicas agree. The second byte string is the context, or the hash
/// where the algorithm signs one (the message is then ignored, as is the context of [`Algorithm::Ed25519Pure`]).
///
/// # Errors
/// The private key is not one, or the hash has another length.
pub fn sign(algorithm: Algorithm, secret: &[u8], context_or_hash: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    match algorithm {
        Algorithm::Ed25519Oasis => ed25519::sign(secret, &sha512_256(&[context_or_hash, message])),
        Algorithm::Ed25519Pure => ed25519::sign(secret, message),
        Algorithm::Ed25519PrehashedSha512 => ed25519::sign_prehashed(secret, context_or_hash),
        Algorithm::Secp256k1Oasis => ecdsa::secp256k1_sign(secret, &sha512_256(&[context_or_hash, message])),
        Algorithm::Secp256k1PrehashedKeccak256 | Algorithm::Secp256k1PrehashedSha256 => {
            ecdsa::secp256k1_sign(secret, context_or_hash)
        }
        Algorithm::Sr25519Pure => sr25519::sign(secret, context_or_hash, message),
        Algorithm::Secp256r1PrehashedSha256 => ecdsa::secp256r1_sign(secret, context_or_hash),
        Algorithm::Secp384r1PrehashedSha384 => ecdsa::secp384r1_sign(secret, context_or_hash),
    }
}

/// Whether a signature is right. A hash or signature of the wrong length is a wrong signature.
///
/// # Errors
/// The public key cannot be read. (An ECDSA key in proper form that is no point of its curve can: it verifies nothing.)
pub fn verify(
    algorithm: Algorithm,
    public: &[u8],
    context_or_hash: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool> {
    match algorithm {
        Algorithm::Ed25519Oasis => ed25519::verify(public, &sha512_256(&[context_or_hash, message]), signature),
        Algorithm::Ed25519Pure => ed25519::verify(public, message, signature),
        Algorithm::Ed25519PrehashedSha512 => ed25519::verify_prehashed(public, context_or_hash, signature),
        Algorithm::Secp256k1Oasis => {
            ecdsa::secp256k1_verify(public, &sha512_256(&[context_or_hash, message]), signature)
        }
        Algorithm::Secp256k1PrehashedKeccak256 | Algorithm::Secp256k1PrehashedSha256 => {
            ecdsa::secp256k1_verify(public, context_or_hash, signature)
        }
        Algorithm::Sr25519Pure => sr25519::verify(public, context_or_hash, message, signature),
        Algorithm::Secp256r1PrehashedSha256 => ecdsa::secp256r1_verify(public, context_or_hash, signature),
        Algorithm::Secp384r1PrehashedSha384 => ecdsa::secp384r1_verify(public, context_or_hash, signature),
    }
}
