//! The SHA-2 functions that Ethereum lacks.

use sha2::{Digest, Sha384, Sha512, Sha512_256};

use super::meter::{Failure, Meter};

const GAS: u64 = 115;
const WORD_GAS: u64 = 13;

fn digest<D: Digest>(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    meter.charge_linear(input.len(), GAS, WORD_GAS)?;
    Ok(D::digest(input).to_vec())
}

/// raw -> 32 bytes.
pub(super) fn sha512_256(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    digest::<Sha512_256>(input, meter)
}

/// raw -> 64 bytes.
pub(super) fn sha512(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    digest::<Sha512>(input, meter)
}

/// raw -> 48 bytes.
pub(super) fn sha384(input: &[u8], meter: &mut Meter) -> Result<Vec<u8>, Failure> {
    digest::<Sha384>(input, meter)
}
