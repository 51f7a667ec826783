//! Signatures of Ethereum accounts: secp256k1 over a digest, from which the signer follows.

use alloy_primitives::{Address, B256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1, SecretKey};

/// Address of the signer, of r ‖ s ‖ v. A high s is refused: it would be a second signature over the same digest.
///
/// # Errors
/// The signature is not one.
pub fn recover(signature: &[u8; 65], digest: &B256) -> Result<Address, &'static str> {
    const INVALID: &str = "invalid signature";
    const UNRECOVERABLE: &str = "signature recovery failed";
    let (compact, v) = (&signature[..64], signature[64]);
    let v = if v >= 27 { v - 27 } else { v };
    let id = RecoveryId::try_from(i32::from(v)).map_err(|_| INVALID)?;
    let signature = RecoverableSignature::from_compact(compact, id).map_err(|_| INVALID)?;
    if compact[..32] == [0; 32] || compact[32..] == [0; 32] {
        return Err(INVALID);
    }
    let standard = signature.to_standard();
    let mut low = standard;
    low.normalize_s();
    if low != standard {
        return Err(UNRECOVERABLE);
    }
    let key = SECP256K1.recover_ecdsa(Message::from_digest(digest.0), &signature).map_err(|_| UNRECOVERABLE)?;
    Ok(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}

/// Signs as RFC 6979 says: r ‖ s ‖ v, with v 0 or 1; none where the secret is no key.
#[must_use]
pub fn sign(secret: &[u8; 32], digest: &B256) -> Option<[u8; 65]> {
    let key = SecretKey::from_byte_array(*secret).ok()?;
    let (id, compact) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), &key).serialize_compact();
    let mut signature = [0; 65];
    signature[..64].copy_from_slice(&compact);
    signature[64] = u8::try_from(i32::from(id)).ok()?;
    Some(signature)
}
