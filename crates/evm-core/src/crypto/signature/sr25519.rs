//! Schnorr signatures over Ristretto, as in Polkadot.

use rand_core::{CryptoRng, RngCore};
use schnorrkel::context::attach_rng;
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature, signing_context};

use super::{BAD_PUBLIC, BAD_SECRET, Result};

pub(super) fn keypair(seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let seed = MiniSecretKey::from_bytes(seed).map_err(|_| BAD_SECRET)?;
    let pair = seed.expand_to_keypair(ExpansionMode::Ed25519);
    Ok((pair.public.to_bytes().to_vec(), pair.to_half_ed25519_bytes().to_vec()))
}

/// The nonce comes from the transcript and the secret nonce seed alone: every replica must make the same signature.
/// Differs from upstream, which adds randomness of the machine.
pub(super) fn sign(secret: &[u8], context: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let pair = Keypair::from_half_ed25519_bytes(secret).map_err(|_| BAD_SECRET)?;
    let transcript = attach_rng(signing_context(context).bytes(message), NoRandomness);
    Ok(pair.sign(transcript).to_bytes().to_vec())
}

pub(super) fn verify(public: &[u8], context: &[u8], message: &[u8], signature: &[u8]) -> Result<bool> {
    let public = PublicKey::from_bytes(public).map_err(|_| BAD_PUBLIC)?;
    let Ok(signature) = Signature::from_bytes(signature) else { return Ok(false) };
    Ok(public.verify(signing_context(context).bytes(message), &signature).is_ok())
}

/// Adds nothing to the transcript's own randomness.
struct NoRandomness;

impl RngCore for NoRandomness {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        out.fill(0);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> std::result::Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for NoRandomness {}
