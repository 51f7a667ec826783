//! Random bytes, X25519 and Deoxys-II.

use alloy_primitives::U256;

use super::{
    abi::Parameters,
    meter::{Failure, Meter, words},
};
use crate::{
    crypto::{deoxysii_open, deoxysii_seal, mrae_key, x25519_public},
    rng::TransactionRng,
};

/// Most random bytes of one call [bytes].
const RANDOM_LIMIT_BYTES: usize = 1024;
const RANDOM_GAS: u64 = 10_000;
const RANDOM_WORD_GAS: u64 = 240;
const PERSONALIZATION_WORD_GAS: u64 = 60;
const X25519_DERIVE_GAS: u64 = 1_100;
const CURVE25519_PUBLIC_GAS: u64 = 1_000;
const DEOXYS_GAS: u64 = 100;
const DEOXYS_WORD_GAS: u64 = 10;

/// abi(uint256 count, bytes personalization) -> raw bytes, at most 1024.
pub(super) fn random_bytes(input: &[u8], meter: &mut Meter, rng: &mut TransactionRng) -> Result<Vec<u8>, Failure> {
    let parameters = Parameters(input);
    let count =
        usize::try_from(parameters.number(0)?.min(U256::from(RANDOM_LIMIT_BYTES))).unwrap_or(RANDOM_LIMIT_BYTES);
    let personalization = parameters.bytes(1)?;
    meter.charge(
        RANDOM_GAS + RANDOM_WORD_GAS * words(count) + PERSONALIZATION_WORD_GAS * words(personalization.len()),
    )?;
    Ok(rng.random_bytes(count, personalization))
}

/// 64 raw bytes, public ‖ private -> 32-byte key of the calldata envelope's derivation.
pub(super) fn x25519_derive(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    meter.charge(X25519_DERIVE_GAS)?;
    let input: &[u8; 64] = input.try_into().map_err(|_| Failure::Error("input length must be 64 bytes"))?;
    let (public, private) = input.split_at(32);
    Ok(mrae_key(&fixed(private), &fixed(public)).to_vec())
}

/// 32 raw bytes, private -> public.
pub(super) fn curve25519_public(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    meter.charge(CURVE25519_PUBLIC_GAS)?;
    let private: &[u8; 32] = input.try_into().map_err(|_| Failure::Error("input length must be 32 bytes"))?;
    Ok(x25519_public(private).to_vec())
}

/// abi(bytes32 key, bytes32 nonce, bytes plaintext, bytes ad) -> ciphertext ‖ tag.
pub(super) fn deoxys_seal(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    let (key, nonce, plaintext, ad) = deoxys_parameters(input, meter)?;
    Ok(deoxysii_seal(&key, &nonce, plaintext, ad))
}

/// abi(bytes32 key, bytes32 nonce, bytes ciphertext, bytes ad) -> plaintext; a wrong tag reverts.
pub(super) fn deoxys_open(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    let (key, nonce, ciphertext, ad) = deoxys_parameters(input, meter)?;
    deoxysii_open(&key, &nonce, ciphertext, ad).map_err(|_| Failure::Revert)
}

type DeoxysParameters<'a> = ([u8; 32], [u8; 15], &'a [u8], &'a [u8]);

fn deoxys_parameters<'a>(input: &'a [u8], meter: &mut Meter) -> Result<DeoxysParameters<'a>, Failure> {
    meter.charge_linear(input.len(), DEOXYS_GAS, DEOXYS_WORD_GAS)?;
    let parameters = Parameters(input);
    let nonce = parameters.word(1)?;
    Ok((parameters.word(0)?, fixed(&nonce[..15]), parameters.bytes(2)?, parameters.bytes(3)?))
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
