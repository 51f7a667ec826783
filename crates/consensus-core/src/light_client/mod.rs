//! The light client: consensus state is believed by the signatures of pinned validators, whoever shows it.
//!
//! It starts from the validators that are pinned, and follows signed headers upward. `shared/rules/light_client.py` is
//! the door, and says which refusal means what. Source: cometbft light/verifier.go @ v0.40.0; what differs stands
//! there.

mod cbor;
mod life;
mod power;
mod proven;
mod refusal;

use std::sync::Arc;

pub use cbor::Malformed;
pub use refusal::Refusal;

use crate::{
    digest::{Digest, sha256},
    header, merkle,
    tree::{self, Claim},
};
use power::{ONE_THIRD, Strangers, TWO_THIRDS, verify_power};
use proven::{Header, LightBlock, MetaProof, ProvenState, in_range};

/// A validator with its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its votes' weight.
    pub power: u64,
}

/// Consensus state that is proven. Its values borrow from the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedState<'a> {
    /// Life of the chain in which the block was made.
    pub incarnation: u32,
    /// Height of the block after which the values hold.
    pub height: u64,
    /// Time of that block \[ns\].
    pub time_ns: u64,
    /// Keys with values, `None` where the key is proven absent; a key that is there twice has one value.
    pub values: Vec<Claim<'a>>,
}

/// Follows one chain. A step that fails changes nothing.
#[derive(Debug)]
pub struct LightClient {
    chain_id: String,
    follows_rewinds: bool,
    /// What is pinned.
    first: Trusted,
    trusted: Trusted,
}

/// The block that was verified last, or none so far.
#[derive(Debug, Clone)]
struct Trusted {
    incarnation: u32,
    /// 0 before the first.
    height: u64,
    time_ns: u64,
    hash: Option<Digest>,
    validators: Arc<[Validator]>,
    next_validators_hash: Digest,
}

impl LightClient {
    /// Pins the chain and its first validators, and whether it can be rewound at all.
    ///
    /// # Errors
    /// [`Refusal::NumberOutOfRange`]: a power has no 64-bit encoding.
    pub fn new(chain_id: String, validators: &[Validator], follows_rewinds: bool) -> Result<Self, Refusal> {
        let first = Trusted {
            incarnation: 0,
            height: 0,
            time_ns: 0,
            hash: None,
            validators: validators.into(),
            next_validators_hash: validators_hash(validators)?,
        };
        Ok(Self { chain_id, follows_rewinds, trusted: first.clone(), first })
    }

    /// Latest life of the chain that was seen.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.trusted.incarnation
    }

    /// Highest height that was verified in it; 0 before the first.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.trusted.height
    }

    /// Time of that block \[ns\].
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        self.trusted.time_ns
    }

    /// Verifies a header and values of the state after its block, as an encoded `ProvenState` shows them, and trusts
    /// the header from now on.
    ///
    /// # Errors
    /// [`Refusal`]; nothing changes.
    pub fn verify<'a>(&mut self, untrusted: &'a [u8]) -> Result<VerifiedState<'a>, Refusal> {
        let ProvenState { light_block, meta: untrusted_meta, items, state_proof } = ProvenState::decode(untrusted)?;
        let meta = untrusted_meta.read_transaction()?;
        let base = self.base_of(meta.incarnation, &items)?;
        let trusted = self.verify_header(&light_block, base)?;
        verify_meta(&light_block.header, &untrusted_meta)?;
        tree::verify(meta.state_root.0, state_proof, items.iter().copied())
            .map_err(|error| Refusal::WrongStateValues(error.to_string()))?;
        self.trusted = trusted;
        let Header { height, time_ns, .. } = light_block.header;
        Ok(VerifiedState { incarnation: meta.incarnation, height, time_ns, values: items })
    }

    /// Verifies a block against one that is trusted, and gives what is trusted then.
    fn verify_header(&self, untrusted: &LightBlock<'_>, trusted: Trusted) -> Result<Trusted, Refusal> {
        let LightBlock { header, commit, validators } = untrusted;
        if header.chain_id != self.chain_id {
            return Err(Refusal::OtherChain { got: header.chain_id.into(), expected: self.chain_id.clone() });
        }
        if header.height < trusted.height {
            return Err(Refusal::OldHeight { got: header.height, trusted: trusted.height });
        }
        let hash = header.hash()?;
        if header.height == trusted.height {
            return if trusted.hash == Some(hash) {
                Ok(trusted)
            } else {
                Err(Refusal::ConflictingHeader(header.height))
            };
        }
        if header.time_ns <= trusted.time_ns {
            return Err(Refusal::TimeNotRising { got: header.time_ns, trusted: trusted.time_ns });
        }
        if commit.height != header.height || commit.block_id.hash != hash {
            return Err(Refusal::WrongCommit(header.height));
        }
        if validators_hash(validators)? != *header.validators_hash.0 {
            return Err(Refusal::WrongValidators("the header names other validators"));
        }
        if *header.validators_hash.0 != trusted.next_validators_hash {
            if header.height == trusted.height + 1 {
                return Err(Refusal::WrongValidators("the header before announced other validators"));
            }
            // Skipping to another set: a third of the trusted power must have signed, so that at least one honest
            // validator of the trusted set did.
            verify_power(&self.chain_id, commit, &trusted.validators, ONE_THIRD, Strangers::Ignored)?;
        }
        verify_power(&self.chain_id, commit, validators, TWO_THIRDS, Strangers::Refused)?;
        Ok(Trusted {
            incarnation: trusted.incarnation,
            height: header.height,
            time_ns: header.time_ns,
            hash: Some(hash),
            validators: validators.as_slice().into(),
            next_validators_hash: *header.next_validators_hash.0,
        })
    }
}

/// Verifies that the block ends with this transaction, which carries its state root.
fn verify_meta(header: &Header<'_>, untrusted: &MetaProof<'_>) -> Result<(), Refusal> {
    let item = sha256(&[untrusted.transaction]);
    merkle::verify_last(header.data_hash, &item, untrusted.total, &untrusted.aunts)
        .map_err(|error| Refusal::WrongStateRoot(error.to_string()))
}

fn validators_hash(validators: &[Validator]) -> Result<Digest, Refusal> {
    let all: Vec<(&[u8; 32], i64)> =
        validators.iter().map(|one| Ok((&one.public_key, in_range(one.power)?))).collect::<Result<_, Refusal>>()?;
    Ok(header::validators_hash(&all))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(power: u64) -> Result<LightClient, Refusal> {
        LightClient::new("chain".into(), &[Validator { public_key: [1; 32], power }], true)
    }

    #[test]
    fn a_power_that_would_be_hashed_as_another_is_not_pinned() {
        assert!(client(i64::MAX.cast_unsigned()).is_ok());
        assert_eq!(client(1 << 63).unwrap_err().kind(), "NumberOutOfRange");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_and_change_nothing(untrusted: Vec<u8>) {
            let mut client = client(1).unwrap();
            prop_assert!(client.verify(&untrusted).is_err());
            prop_assert_eq!((client.incarnation(), client.height(), client.time_ns()), (0, 0, 0));
        }
    }
}
