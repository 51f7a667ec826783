//! ECDSA on three curves. Signatures are DER, nonces follow RFC 6979 with the curve's own hash.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use super::{BAD_HASH, BAD_PUBLIC, BAD_SECRET, BAD_SEED, Result};

/// Whether a public key has a form of SEC 1, whatever the point. `field` is the length of a coordinate [bytes].
fn is_sec1(public: &[u8], field: usize) -> bool {
    match public.first() {
        Some(0x00) => public.len() == 1,
        Some(0x02 | 0x03 | 0x05) => public.len() == 1 + field,
        Some(0x04) => public.len() == 1 + 2 * field,
        _ => false,
    }
}

pub(super) fn secp256k1_keypair(seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let secret = secp256k1_secret(seed).ok_or(BAD_SEED)?;
    Ok((PublicKey::from_secret_key(SECP256K1, &secret).serialize().to_vec(), seed.to_vec()))
}

fn secp256k1_secret(secret: &[u8]) -> Option<SecretKey> {
    SecretKey::from_byte_array(secret.try_into().ok()?).ok()
}

/// The signature has a low s.
pub(super) fn secp256k1_sign(secret: &[u8], hash: &[u8]) -> Result<Vec<u8>> {
    let secret = secp256k1_secret(secret).ok_or(BAD_SECRET)?;
    let hash = hash.try_into().map_err(|_| BAD_HASH)?;
    Ok(SECP256K1.sign_ecdsa(Message::from_digest(hash), &secret).serialize_der().to_vec())
}

/// A signature with a high s is wrong.
pub(super) fn secp256k1_verify(public: &[u8], hash: &[u8], signature: &[u8]) -> Result<bool> {
    if !is_sec1(public, 32) {
        return Err(BAD_PUBLIC);
    }
    let (Ok(key), Ok(hash)) = (PublicKey::from_slice(public), hash.try_into()) else { return Ok(false) };
    let Ok(signature) = secp256k1::ecdsa::Signature::from_der(signature) else { return Ok(false) };
    Ok(SECP256K1.verify_ecdsa(Message::from_digest(hash), &signature, &key).is_ok())
}

macro_rules! nist_curve {
    ($curve:ident, $bytes:literal, $keypair:ident, $sign:ident, $verify:ident) => {
        pub(super) fn $keypair(seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
            let key = <&[u8; $bytes]>::try_from(seed).ok();
            let key = key.and_then(|seed| $curve::ecdsa::SigningKey::from_slice(seed).ok()).ok_or(BAD_SEED)?;
            Ok((key.verifying_key().to_sec1_point(true).as_bytes().to_vec(), seed.to_vec()))
        }

        pub(super) fn $sign(secret: &[u8], hash: &[u8]) -> Result<Vec<u8>> {
            let key = <&[u8; $bytes]>::try_from(secret).ok();
            let key = key.and_then(|secret| $curve::ecdsa::SigningKey::from_slice(secret).ok()).ok_or(BAD_SECRET)?;
            let hash = <&[u8; $bytes]>::try_from(hash).map_err(|_| BAD_HASH)?;
            let signature: $curve::ecdsa::Signature = key.sign_prehash(hash).map_err(|_| BAD_HASH)?;
            Ok(signature.to_der().as_bytes().to_vec())
        }

        pub(super) fn $verify(public: &[u8], hash: &[u8], signature: &[u8]) -> Result<bool> {
            if !is_sec1(public, $bytes) {
                return Err(BAD_PUBLIC);
            }
            let (Ok(key), Ok(hash)) =
                ($curve::ecdsa::VerifyingKey::from_sec1_bytes(public), <&[u8; $bytes]>::try_from(hash))
            else {
                return Ok(false);
            };
            let Ok(signature) = $curve::ecdsa::Signature::from_der(signature) else { return Ok(false) };
            Ok(key.verify_prehash(hash, &signature).is_ok())
        }
    };
}

nist_curve!(p256, 32, secp256r1_keypair, secp256r1_sign, secp256r1_verify);
nist_curve!(p384, 48, secp384r1_keypair, secp384r1_sign, secp384r1_verify);
