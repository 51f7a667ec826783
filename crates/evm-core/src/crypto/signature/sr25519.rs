//! Schnorr signatures over Ristretto, as in Polkadot.

use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use schnorrkel::context::{SigningTranscript, attach_rng};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature, signing_context};

use super::{BAD_PUBLIC, BAD_SECRET, Result};

pub(super) fn keypair(seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let seed = MiniSecretKey::from_bytes(seed).map_err(|_| BAD_SECRET)?;
    let pair = seed.expand_to_keypair(ExpansionMode::Ed25519);
    Ok((pair.public.to_bytes().to_vec(), pair.to_half_ed25519_bytes().to_vec()))
}

/// Signs a message itself.
pub(super) fn sign(secret: &[u8], context: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    sign_transcript(secret, signing_context(context).bytes(message))
}

pub(super) fn verify(public: &[u8], context: &[u8], message: &[u8], signature: &[u8]) -> Result<bool> {
    verify_transcript(public, signing_context(context).bytes(message), signature)
}

/// Signs the hash of a message.
pub(super) fn sign_hash(secret: &[u8], context: &[u8], hash: &[u8; 32]) -> Result<Vec<u8>> {
    sign_transcript(secret, of_hash(context, hash))
}

pub(super) fn verify_hash(public: &[u8], context: &[u8], hash: &[u8; 32], signature: &[u8]) -> Result<bool> {
    verify_transcript(public, of_hash(context, hash), signature)
}

/// What schnorrkel's `SigningContext::hash256` makes, which takes a hasher of an older `digest` only.
fn of_hash(context: &[u8], hash: &[u8; 32]) -> Transcript {
    let mut transcript = Transcript::new(b"SigningContext");
    transcript.append_message(b"", context);
    transcript.append_message(b"sign-256", hash);
    transcript
}

/// The nonce comes from the transcript and the secret nonce seed alone: every replica must make the same signature.
/// Differs from upstream, which adds randomness of the machine.
fn sign_transcript(secret: &[u8], transcript: impl SigningTranscript) -> Result<Vec<u8>> {
    let pair = Keypair::from_half_ed25519_bytes(secret).map_err(|_| BAD_SECRET)?;
    Ok(pair.sign(attach_rng(transcript, NoRandomness)).to_bytes().to_vec())
}

fn verify_transcript(public: &[u8], transcript: impl SigningTranscript, signature: &[u8]) -> Result<bool> {
    let public = PublicKey::from_bytes(public).map_err(|_| BAD_PUBLIC)?;
    let Ok(signature) = Signature::from_bytes(signature) else { return Ok(false) };
    Ok(public.verify(transcript, &signature).is_ok())
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
