//! Key pairs, signing and verification in nine algorithms.

use super::{
    abi::{Argument, Parameters, encode},
    meter::{Failure, Meter},
};
use crate::crypto::{self, Algorithm};

/// Gas of an algorithm: key pair; signing; verification; and for the last two, per word of input unless prehashed.
const fn gas(algorithm: Algorithm) -> (u64, u64, u64, u64) {
    match algorithm {
        Algorithm::Ed25519Oasis | Algorithm::Ed25519Pure | Algorithm::Sr25519Pure => (1_000, 1_500, 2_000, 8),
        Algorithm::Ed25519PrehashedSha512 => (1_000, 1_500, 2_000, 0),
        Algorithm::Secp256k1Oasis => (1_500, 3_000, 3_000, 8),
        Algorithm::Secp256k1PrehashedKeccak256 | Algorithm::Secp256k1PrehashedSha256 => (1_500, 3_000, 3_000, 0),
        Algorithm::Secp256r1PrehashedSha256 => (4_000, 9_000, 7_900, 0),
        Algorithm::Secp384r1PrehashedSha384 => (18_000, 43_200, 37_920, 0),
    }
}

fn algorithm(parameters: &Parameters<'_>) -> Result<Algorithm, Failure> {
    u64::try_from(parameters.number(0)?)
        .ok()
        .and_then(Algorithm::from_id)
        .ok_or(Failure::Error("unknown signature type"))
}

/// abi(uint256 algorithm, bytes seed) -> abi(bytes public, bytes private).
pub(super) fn keypair_generate(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    let parameters = Parameters(input);
    let seed = parameters.bytes(1)?;
    let algorithm = algorithm(&parameters)?;
    meter.charge(gas(algorithm).0)?;
    let (public, private) = crypto::keypair(algorithm, seed).map_err(|error| Failure::Error(error.0))?;
    Ok(encode(&[Argument::Bytes(&public), Argument::Bytes(&private)]))
}

/// abi(uint256 algorithm, bytes private, bytes context or hash, bytes message) -> signature.
pub(super) fn sign(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    let parameters = Parameters(input);
    let (private, context, message) = (parameters.bytes(1)?, parameters.bytes(2)?, parameters.bytes(3)?);
    let algorithm = algorithm(&parameters)?;
    let (_, base, _, per_word) = gas(algorithm);
    meter.charge_linear(input.len(), base, per_word)?;
    crypto::sign(algorithm, private, context, message).map_err(|error| Failure::Error(error.0))
}

/// abi(uint256 algorithm, bytes public, bytes context or hash, bytes message, bytes signature) -> abi(bool).
pub(super) fn verify(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    let parameters = Parameters(input);
    let (public, context, message, signature) =
        (parameters.bytes(1)?, parameters.bytes(2)?, parameters.bytes(3)?, parameters.bytes(4)?);
    let algorithm = algorithm(&parameters)?;
    let (_, _, base, per_word) = gas(algorithm);
    meter.charge_linear(input.len(), base, per_word)?;
    let valid =
        crypto::verify(algorithm, public, context, message, signature).map_err(|error| Failure::Error(error.0))?;
    Ok(encode(&[Argument::Number(u64::from(valid))]))
}
