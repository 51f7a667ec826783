//! CometBFT's encodings and hashes of headers, votes, commits, validator sets and blocks.
//!
//! Source: cometbft types/{block,vote,validator,validator_set,part_set}.go and proto/tendermint/types @ v0.40.0.

use std::cmp::Reverse;

use crate::{
    digest::{Digest, sha256},
    merkle,
    protobuf::{Writer, timestamp},
};

const PRECOMMIT: i64 = 2;
const FLAG_COMMIT: i64 = 2;
const ADDRESS_BYTES: usize = 20;
/// A block is gossiped, and named, in parts of this size. Source: types/params.go.
const PART_BYTES: usize = 65_536;

/// A time of which no `Timestamp` can be made.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a time of {0} ns has no 64-bit encoding")]
pub struct TimeOutOfRange(i128);

/// Name of a block.
#[derive(Debug, Clone)]
pub struct BlockId<B> {
    /// 32 bytes, or none before the first block.
    pub hash: B,
    /// Number of its parts.
    pub parts_total: i64,
    /// Merkle root over its parts.
    pub parts_hash: B,
}

/// The 14 fields, the version as two.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are CometBFT's")]
pub struct Header<B> {
    pub version_block: i64,
    pub version_app: i64,
    pub chain_id: B,
    pub height: i64,
    pub time_ns: i128,
    pub last_block_id: BlockId<B>,
    /// From `last_commit_hash` to `proposer_address`.
    pub hashes: [B; 9],
}

/// One precommit.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are CometBFT's")]
pub struct CommitSignature<B> {
    pub validator_address: B,
    pub time_ns: i128,
    pub signature: B,
}

/// Precommits that make a block final.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are CometBFT's")]
pub struct Commit<B> {
    pub height: i64,
    pub round: i64,
    pub block_id: BlockId<B>,
    pub signatures: Vec<CommitSignature<B>>,
}

impl<B: AsRef<[u8]>> BlockId<B> {
    /// `BlockID`, and as well `CanonicalBlockID`.
    fn encode(&self) -> Vec<u8> {
        encode_block_id(self.hash.as_ref(), self.parts_total, self.parts_hash.as_ref())
    }
}

fn encode_block_id(hash: &[u8], parts_total: i64, parts_hash: &[u8]) -> Vec<u8> {
    let parts = Writer::new().integer(1, parts_total).data(2, parts_hash).into_bytes();
    Writer::new().data(1, hash).message(2, &parts).into_bytes()
}

fn timestamp_of(time_ns: i128) -> Result<Vec<u8>, TimeOutOfRange> {
    timestamp(time_ns).ok_or(TimeOutOfRange(time_ns))
}

impl<B: AsRef<[u8]>> Header<B> {
    /// Hash that names the block: a Merkle root over the header's 14 fields.
    ///
    /// # Errors
    /// [`TimeOutOfRange`].
    pub fn hash(&self) -> Result<Digest, TimeOutOfRange> {
        let mut fields = vec![
            self.version(),
            Writer::new().data(1, self.chain_id.as_ref()).into_bytes(),
            Writer::new().integer(1, self.height).into_bytes(),
            timestamp_of(self.time_ns)?,
            self.last_block_id.encode(),
        ];
        fields.extend(self.hashes.iter().map(|hash| Writer::new().data(1, hash.as_ref()).into_bytes()));
        Ok(merkle::root(&fields))
    }

    fn version(&self) -> Vec<u8> {
        Writer::new().integer(1, self.version_block).integer(2, self.version_app).into_bytes()
    }

    fn encode(&self) -> Result<Vec<u8>, TimeOutOfRange> {
        let named = Writer::new()
            .message(1, &self.version())
            .data(2, self.chain_id.as_ref())
            .integer(3, self.height)
            .message(4, &timestamp_of(self.time_ns)?)
            .message(5, &self.last_block_id.encode());
        let whole = (6..).zip(&self.hashes).fold(named, |out, (number, hash)| out.data(number, hash.as_ref()));
        Ok(whole.into_bytes())
    }
}

impl<B: AsRef<[u8]>> CommitSignature<B> {
    fn encode(&self) -> Result<Vec<u8>, TimeOutOfRange> {
        Ok(Writer::new()
            .integer(1, FLAG_COMMIT)
            .data(2, self.validator_address.as_ref())
            .message(3, &timestamp_of(self.time_ns)?)
            .data(4, self.signature.as_ref())
            .into_bytes())
    }
}

impl<B: AsRef<[u8]>> Commit<B> {
    fn encode(&self) -> Result<Vec<u8>, TimeOutOfRange> {
        let mut out = Writer::new().integer(1, self.height).integer(2, self.round).message(3, &self.block_id.encode());
        for signature in &self.signatures {
            out = out.message(4, &signature.encode()?);
        }
        Ok(out.into_bytes())
    }
}

/// Bytes that one validator signs to make a block final; `time_ns` is its own time.
///
/// # Errors
/// [`TimeOutOfRange`].
pub fn precommit_sign_bytes(
    chain_id: &[u8],
    height: i64,
    round: i64,
    block_id: &BlockId<impl AsRef<[u8]>>,
    time_ns: i128,
) -> Result<Vec<u8>, TimeOutOfRange> {
    let mut vote = Writer::new().integer(1, PRECOMMIT).sfixed64(2, height).sfixed64(3, round);
    // CanonicalBlockID has the fields of BlockID; a precommit for no block signs none.
    if !block_id.hash.as_ref().is_empty() {
        vote = vote.message(4, &block_id.encode());
    }
    Ok(vote.message(5, &timestamp_of(time_ns)?).data(6, chain_id).delimited())
}

/// Hash by which the next header names the commit of its predecessor.
///
/// # Errors
/// [`TimeOutOfRange`].
pub fn commit_hash<B: AsRef<[u8]>>(signatures: &[CommitSignature<B>]) -> Result<Digest, TimeOutOfRange> {
    let encoded: Vec<Vec<u8>> = signatures.iter().map(CommitSignature::encode).collect::<Result<_, _>>()?;
    Ok(merkle::root(&encoded))
}

/// Address of a validator by its public key.
#[must_use]
pub fn validator_address(public_key: &[u8]) -> [u8; ADDRESS_BYTES] {
    *sha256(&[public_key]).first_chunk().expect("a digest is longer")
}

/// Hash of a validator set of public keys and powers; the order of the argument does not matter.
#[must_use]
pub fn validators_hash<B: AsRef<[u8]>>(validators: &[(B, i64)]) -> Digest {
    let mut ordered: Vec<(&[u8], i64)> = validators.iter().map(|(key, power)| (key.as_ref(), *power)).collect();
    // CometBFT's order: by falling power, then by address.
    ordered.sort_by_cached_key(|(key, power)| (Reverse(*power), validator_address(key)));
    let encoded: Vec<Vec<u8>> = ordered
        .iter()
        .map(|(key, power)| {
            let public_key = Writer::new().data(1, key).into_bytes(); // PublicKey.ed25519
            Writer::new().message(1, &public_key).integer(2, *power).into_bytes()
        })
        .collect();
    merkle::root(&encoded)
}

/// Number and Merkle root of the parts of a block's encoding, which with its header's hash are its name.
///
/// # Errors
/// [`TimeOutOfRange`].
pub fn block_parts<B: AsRef<[u8]>>(
    header: &Header<B>,
    transactions: &[impl AsRef<[u8]>],
    evidence: &[impl AsRef<[u8]>],
    last_commit: Option<&Commit<B>>,
) -> Result<(usize, Digest), TimeOutOfRange> {
    // A transaction is one element of a repeated field, written even when empty.
    let txs = transactions.iter().fold(Writer::new(), |out, one| out.message(1, one.as_ref())).into_bytes();
    let items = evidence.iter().fold(Writer::new(), |out, one| out.message(1, one.as_ref())).into_bytes();
    let commit = match last_commit {
        Some(commit) => commit.encode()?,
        // The first block follows none.
        None => Writer::new().message(3, &encode_block_id(&[], 0, &[])).into_bytes(),
    };
    let encoded = Writer::new()
        .message(1, &header.encode()?)
        .message(2, &txs)
        .message(3, &items)
        .message(4, &commit)
        .into_bytes();
    let parts: Vec<&[u8]> = encoded.chunks(PART_BYTES).collect();
    Ok((parts.len(), merkle::root(&parts)))
}
