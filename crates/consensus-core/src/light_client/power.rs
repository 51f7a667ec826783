//! How much of a set's power stands behind a commit.

use std::collections::BTreeMap;

use super::{Refusal, Validator, proven::Commit};
use crate::{digest::hex, header::validator_address, signature};

/// Part of a set's power that must be exceeded: numerator and denominator.
pub(super) type Share = (u128, u128);
pub(super) const ONE_THIRD: Share = (1, 3);
pub(super) const TWO_THIRDS: Share = (2, 3);

/// What becomes of votes by who is not in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strangers {
    Ignored,
    Refused,
}

/// Verifies that more than a share of a set's power signed.
pub(super) fn verify_power(
    chain_id: &str,
    commit: &Commit<'_>,
    validators: &[Validator],
    share: Share,
    strangers: Strangers,
) -> Result<(), Refusal> {
    let mut by_address: BTreeMap<[u8; 20], (&Validator, bool)> =
        validators.iter().map(|validator| (validator_address(&validator.public_key), (validator, false))).collect();
    let mut power = 0;
    for entry in &commit.signatures {
        let address = entry.validator_address.0;
        let bad = |what: &str| Err(Refusal::BadCommitSignature(format!("{} {what}", hex(address))));
        match by_address.get_mut(address) {
            None if strangers == Strangers::Ignored => {}
            None => return bad("is no validator"),
            Some((_, true)) => return bad("signed twice"),
            Some((validator, has_signed)) => {
                let message = commit.sign_bytes(chain_id, entry.time_ns)?;
                if !signature::verify(&validator.public_key, &message, entry.signature.0) {
                    let key = hex(&validator.public_key);
                    return Err(Refusal::BadCommitSignature(format!("bad signature by {key}")));
                }
                *has_signed = true;
                power += u128::from(validator.power);
            }
        }
    }
    let total = validators.iter().map(|validator| u128::from(validator.power)).sum();
    let (numerator, denominator) = share;
    if power * denominator > total * numerator {
        return Ok(());
    }
    Err(Refusal::TooLittlePower { power, total, share })
}
