//! Calldata, out of its envelope if it came in one.

use zeroize::Zeroizing;

use crate::{
    config::{ChainConfig, Profile},
    envelope::{self, Envelope},
    environment::Environment,
    errors::ModuleError,
};

/// Plain calldata, and what its answer has to be sealed with.
pub struct Opened {
    /// What the contract sees.
    pub data: Vec<u8>,
    /// Key of the answer when the calldata came encrypted.
    pub key: Option<Zeroizing<[u8; 32]>>,
}

/// Opens the calldata of a transaction or query. Errors are `core` 18.
pub fn open(config: &ChainConfig, environment: &Environment, data: &[u8]) -> Result<Opened, ModuleError> {
    if !config.confidential {
        return Ok(Opened { data: data.to_vec(), key: None });
    }
    match envelope::parse(data)? {
        Envelope::Plain(data) | Envelope::Format0 { data, .. } => Ok(Opened { data, key: None }),
        Envelope::Encrypted(sealed) => {
            let secret_of = |epoch| environment.call_keys.get(&epoch).map(|secret| **secret);
            let opened = envelope::open(&sealed, environment.epoch, &secret_of)?;
            let data = match config.profile {
                Profile::Strict => opened.data,
                Profile::Dev => sealed_once(environment, opened.data),
            };
            Ok(Opened { data, key: Some(Zeroizing::new(opened.key)) })
        }
    }
}

/// Opens calldata that was sealed twice; gives any other back.
///
/// oasis-sapphire-py seals a transaction, and seals it again when it asks what gas that takes.
fn sealed_once(environment: &Environment, data: Vec<u8>) -> Vec<u8> {
    let secret_of = |epoch| environment.call_keys.get(&epoch).map(|secret| **secret);
    match envelope::parse(&data) {
        Ok(Envelope::Encrypted(sealed)) => {
            envelope::open(&sealed, environment.epoch, &secret_of).map_or(data, |opened| opened.data)
        }
        _ => data,
    }
}
