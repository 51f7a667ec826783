//! Verifies a chain of headers as a CometBFT light client does.
//!
//! Standard input is one JSON object: `now` (RFC 3339) and `blocks`, each with `signed_header`,
//! `validators` and `next_validators` in the form of CometBFT's RPC. The first block is trusted;
//! each other one is verified from its predecessor in the list. Standard output is a JSON array
//! with one verdict for each step: "verified", or why not.

use std::{error::Error, io, time::Duration};

use serde::Deserialize;
use tendermint::{block::signed_header::SignedHeader, validator, Time};
use tendermint_light_client_verifier::{
    options::Options,
    types::{TrustThreshold, TrustedBlockState, UntrustedBlockState},
    ProdVerifier, Verdict, Verifier,
};

const TRUSTING_PERIOD: Duration = Duration::from_secs(14 * 24 * 3600);
const CLOCK_DRIFT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Request {
    now: Time,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    signed_header: SignedHeader,
    validators: Vec<validator::Info>,
    next_validators: Vec<validator::Info>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let request: Request = serde_json::from_reader(io::stdin())?;
    let verdicts: Vec<String> = request
        .blocks
        .windows(2)
        .map(|pair| verify(&pair[0], &pair[1], request.now))
        .collect();
    println!("{}", serde_json::to_string(&verdicts)?);
    Ok(())
}

fn verify(trusted: &Block, untrusted: &Block, now: Time) -> String {
    let header = &trusted.signed_header.header;
    let trusted_next = validator::Set::without_proposer(trusted.next_validators.clone());
    let validators = validator::Set::without_proposer(untrusted.validators.clone());
    let next_validators = validator::Set::without_proposer(untrusted.next_validators.clone());
    let verdict = ProdVerifier::default().verify_update_header(
        UntrustedBlockState {
            signed_header: &untrusted.signed_header,
            validators: &validators,
            next_validators: Some(&next_validators),
        },
        TrustedBlockState {
            chain_id: &header.chain_id,
            header_time: header.time,
            height: header.height,
            next_validators: &trusted_next,
            next_validators_hash: header.next_validators_hash,
        },
        &Options {
            trust_threshold: TrustThreshold::ONE_THIRD,
            trusting_period: TRUSTING_PERIOD,
            clock_drift: CLOCK_DRIFT,
        },
        now,
    );
    match verdict {
        Verdict::Success => "verified".to_owned(),
        Verdict::NotEnoughTrust(tally) => format!("not enough trust: {tally}"),
        Verdict::Invalid(detail) => format!("invalid: {detail}"),
    }
}
