//! Ed25519 as Oasis understands it, and Ed25519ph.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign, raw_sign_prehashed};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, consts::U64};
use sha2::{Digest, Sha512};

use super::{BAD_HASH, BAD_PUBLIC, BAD_SECRET, Result, SignatureError};

const BAD_SEED: SignatureError = SignatureError("error creating signer: malformed public key");

pub(super) fn keypair(seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let seed = seed.try_into().map_err(|_| BAD_SEED)?;
    Ok((SigningKey::from_bytes(seed).verifying_key().to_bytes().to_vec(), seed.to_vec()))
}

/// A private key is a seed of 32 bytes or, as contracts may have kept it from the time of the first version, its
/// SHA-512.
fn expand(secret: &[u8]) -> Result<ExpandedSecretKey> {
    if let Ok(seed) = <&[u8; 32]>::try_from(secret) {
        return Ok(ExpandedSecretKey::from(seed));
    }
    let hash = <&[u8; 64]>::try_from(secret).map_err(|_| BAD_SECRET)?;
    Ok(ExpandedSecretKey::from_bytes(hash))
}

pub(super) fn sign(secret: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let secret = expand(secret)?;
    Ok(raw_sign::<Sha512>(&secret, message, &VerifyingKey::from(&secret)).to_bytes().to_vec())
}

pub(super) fn sign_prehashed(secret: &[u8], hash: &[u8]) -> Result<Vec<u8>> {
    let secret = expand(secret)?;
    let hash = Prehashed::of(hash).ok_or(BAD_HASH)?;
    let signature = raw_sign_prehashed::<Sha512, _>(&secret, hash, &VerifyingKey::from(&secret), None);
    Ok(signature.map_err(|_| BAD_HASH)?.to_bytes().to_vec())
}

fn read_public(public: &[u8]) -> Result<(CompressedEdwardsY, EdwardsPoint)> {
    let compressed = CompressedEdwardsY::from_slice(public).map_err(|_| BAD_PUBLIC)?;
    Ok((compressed, compressed.decompress().ok_or(BAD_PUBLIC)?))
}

/// Cofactored equation, S below the group order, neither A nor R of small order, encodings of points need not be
/// canonical: what oasis-core accepts (`runtime/src/common/crypto/signature.rs` @ f9f1fdc), on which Go and Rust agree.
pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<bool> {
    let (compressed, key) = read_public(public)?;
    Ok(verifies(&compressed, &key, message, signature).unwrap_or(false))
}

fn verifies(compressed: &CompressedEdwardsY, key: &EdwardsPoint, message: &[u8], signature: &[u8]) -> Option<bool> {
    let (commitment_bytes, response) = <&[u8; 64]>::try_from(signature).ok()?.split_first_chunk::<32>()?;
    let commitment = CompressedEdwardsY(*commitment_bytes).decompress()?;
    let response = Option::<Scalar>::from(Scalar::from_canonical_bytes(response.try_into().ok()?))?;
    if key.is_small_order() || commitment.is_small_order() {
        return None;
    }
    let hash = Sha512::new().chain_update(commitment_bytes).chain_update(compressed.as_bytes()).chain_update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let point = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-key, &response);
    Some((point - commitment).mul_by_cofactor().is_identity())
}

pub(super) fn verify_prehashed(public: &[u8], hash: &[u8], signature: &[u8]) -> Result<bool> {
    let (compressed, _) = read_public(public)?;
    let key = VerifyingKey::from_bytes(compressed.as_bytes()).map_err(|_| BAD_PUBLIC)?;
    let (Some(hash), Ok(signature)) = (Prehashed::of(hash), Signature::from_slice(signature)) else {
        return Ok(false);
    };
    Ok(key.verify_prehashed(hash, None, &signature).is_ok())
}

/// A SHA-512 that somebody else computed, for interfaces that want to finish the hash themselves.
#[derive(Clone)]
struct Prehashed([u8; 64]);

impl Prehashed {
    fn of(hash: &[u8]) -> Option<Self> {
        hash.try_into().ok().map(Self)
    }
}

impl Default for Prehashed {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl OutputSizeUser for Prehashed {
    type OutputSize = U64;
}

impl Update for Prehashed {
    fn update(&mut self, _: &[u8]) {
        unreachable!("the hash is complete");
    }
}

impl FixedOutput for Prehashed {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl HashMarker for Prehashed {}
