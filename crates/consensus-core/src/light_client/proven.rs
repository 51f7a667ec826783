//! A `ProvenState` as it is encoded; `shared/types/proof.py` says what its parts are.
//!
//! Fields are read in canonical order, and borrow from the bytes.

use super::{
    Refusal, Validator,
    cbor::{Exactly, Read, Reader},
};
use crate::{
    digest::Digest,
    header::{self, precommit_sign_bytes},
    tree::Claim,
};

/// Greatest life of a chain. Source: `shared/rules/meta.py`.
const MAX_INCARNATION: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct ProvenState<'a> {
    pub(super) light_block: LightBlock<'a>,
    pub(super) meta: MetaProof<'a>,
    pub(super) items: Vec<Claim<'a>>,
    pub(super) state_proof: &'a [u8],
}

#[derive(Debug, Default)]
pub(super) struct LightBlock<'a> {
    pub(super) header: Header<'a>,
    pub(super) commit: Commit<'a>,
    pub(super) validators: Vec<Validator>,
}

#[derive(Debug, Default)]
pub(super) struct MetaProof<'a> {
    pub(super) transaction: &'a [u8],
    pub(super) total: u64,
    pub(super) aunts: Vec<&'a [u8]>,
}

#[derive(Debug, Default)]
pub(super) struct BlockId<'a> {
    pub(super) hash: &'a [u8],
    parts_total: u64,
    parts_hash: &'a [u8],
}

#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    version_block: u64,
    version_app: u64,
    pub(super) chain_id: &'a str,
    pub(super) height: u64,
    pub(super) time_ns: u64,
    last_block_id: BlockId<'a>,
    last_commit_hash: &'a [u8],
    pub(super) data_hash: &'a [u8],
    pub(super) validators_hash: Exactly<'a, 32>,
    pub(super) next_validators_hash: Exactly<'a, 32>,
    consensus_hash: Exactly<'a, 32>,
    app_hash: &'a [u8],
    last_results_hash: &'a [u8],
    evidence_hash: &'a [u8],
    proposer_address: Exactly<'a, 20>,
}

#[derive(Debug, Default)]
pub(super) struct Commit<'a> {
    pub(super) height: u64,
    round: u64,
    pub(super) block_id: BlockId<'a>,
    pub(super) signatures: Vec<CommitSignature<'a>>,
}

#[derive(Debug)]
pub(super) struct CommitSignature<'a> {
    pub(super) validator_address: Exactly<'a, 20>,
    pub(super) time_ns: u64,
    pub(super) signature: Exactly<'a, 64>,
}

/// What the last transaction of a block says.
#[derive(Debug)]
pub(super) struct BlockMeta<'a> {
    pub(super) state_root: Exactly<'a, 32>,
    pub(super) incarnation: u32,
}

impl<'a> ProvenState<'a> {
    /// Reads all of the bytes.
    pub(super) fn decode(untrusted: &'a [u8]) -> Read<Self> {
        Reader::whole(untrusted, |reader| {
            let mut fields = reader.fields("ProvenState")?;
            let meta = fields.required("meta", MetaProof::read)?;
            let items = fields
                .required("items", |reader| reader.list(|one| one.pair(Reader::bytes, Reader::optional_bytes)))?;
            let light_block = fields.required("light_block", LightBlock::read)?;
            let state_proof = fields.required("state_proof", Reader::bytes)?;
            fields.finish()?;
            Ok(Self { light_block, meta, items, state_proof })
        })
    }
}

impl<'a> LightBlock<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("LightBlock")?;
        let commit = fields.required("commit", Commit::read)?;
        let header = fields.required("header", Header::read)?;
        let validators = fields.required("validators", |reader| reader.list(read_validator))?;
        fields.finish()?;
        Ok(Self { header, commit, validators })
    }
}

fn read_validator(reader: &mut Reader<'_>) -> Read<Validator> {
    let mut fields = reader.fields("Validator")?;
    let power = fields.required("power", Reader::unsigned)?;
    let public_key = *fields.required("public_key", Reader::exactly)?.0;
    fields.finish()?;
    Ok(Validator { public_key, power })
}

impl<'a> MetaProof<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("MetaProof")?;
        let aunts = fields.required("aunts", |reader| reader.list(Reader::bytes))?;
        let total = fields.required("total", Reader::unsigned)?;
        let transaction = fields.required("transaction", Reader::bytes)?;
        fields.finish()?;
        Ok(Self { transaction, total, aunts })
    }

    /// Reads the transaction, of which it is not verified yet whether it is the block's last.
    pub(super) fn read_transaction(&self) -> Result<BlockMeta<'a>, Refusal> {
        let (state_root, incarnation) = Reader::whole(self.transaction, |reader| {
            let mut fields = reader.fields("BlockMeta")?;
            let state_root = fields.required("state_root", Reader::exactly)?;
            let incarnation = fields.or_default("incarnation", Reader::unsigned)?;
            fields.finish().map(|()| (state_root, incarnation))
        })
        .map_err(|malformed| Refusal::WrongStateRoot(malformed.to_string()))?;
        let incarnation = u32::try_from(incarnation).map_err(|_| {
            Refusal::WrongStateRoot(format!("incarnation {incarnation}: must be 0 to {MAX_INCARNATION}"))
        })?;
        Ok(BlockMeta { state_root, incarnation })
    }
}

impl<'a> BlockId<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("BlockId")?;
        let hash = fields.required("hash", Reader::bytes)?;
        let parts_hash = fields.or_default("parts_hash", Reader::bytes)?;
        let parts_total = fields.or_default("parts_total", Reader::unsigned)?;
        fields.finish()?;
        Ok(Self { hash, parts_total, parts_hash })
    }

    fn in_range(&self) -> Result<header::BlockId<&'a [u8]>, Refusal> {
        Ok(header::BlockId { hash: self.hash, parts_total: in_range(self.parts_total)?, parts_hash: self.parts_hash })
    }
}

impl<'a> Header<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("Header")?;
        let header = Self {
            height: fields.required("height", Reader::unsigned)?,
            time_ns: fields.required("time_ns", Reader::unsigned)?,
            app_hash: fields.required("app_hash", Reader::bytes)?,
            chain_id: fields.required("chain_id", Reader::text)?,
            data_hash: fields.required("data_hash", Reader::bytes)?,
            version_app: fields.required("version_app", Reader::unsigned)?,
            evidence_hash: fields.required("evidence_hash", Reader::bytes)?,
            last_block_id: fields.required("last_block_id", BlockId::read)?,
            version_block: fields.required("version_block", Reader::unsigned)?,
            consensus_hash: fields.required("consensus_hash", Reader::exactly)?,
            validators_hash: fields.required("validators_hash", Reader::exactly)?,
            last_commit_hash: fields.required("last_commit_hash", Reader::bytes)?,
            proposer_address: fields.required("proposer_address", Reader::exactly)?,
            last_results_hash: fields.required("last_results_hash", Reader::bytes)?,
            next_validators_hash: fields.required("next_validators_hash", Reader::exactly)?,
        };
        fields.finish().map(|()| header)
    }

    pub(super) fn hash(&self) -> Result<Digest, Refusal> {
        let header = header::Header::<&[u8]> {
            version_block: in_range(self.version_block)?,
            version_app: in_range(self.version_app)?,
            chain_id: self.chain_id.as_bytes(),
            height: in_range(self.height)?,
            time_ns: self.time_ns.into(),
            last_block_id: self.last_block_id.in_range()?,
            hashes: [
                self.last_commit_hash,
                self.data_hash,
                self.validators_hash.0,
                self.next_validators_hash.0,
                self.consensus_hash.0,
                self.app_hash,
                self.last_results_hash,
                self.evidence_hash,
                self.proposer_address.0,
            ],
        };
        Ok(header.hash()?)
    }
}

impl<'a> Commit<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("Commit")?;
        let round = fields.required("round", Reader::unsigned)?;
        let height = fields.required("height", Reader::unsigned)?;
        let block_id = fields.required("block_id", BlockId::read)?;
        let signatures = fields.required("signatures", |reader| reader.list(CommitSignature::read))?;
        fields.finish()?;
        Ok(Self { height, round, block_id, signatures })
    }

    /// Bytes that a validator signed at its own time.
    pub(super) fn sign_bytes(&self, chain_id: &str, time_ns: u64) -> Result<Vec<u8>, Refusal> {
        let (height, round) = (in_range(self.height)?, in_range(self.round)?);
        let block_id = self.block_id.in_range()?;
        Ok(precommit_sign_bytes(chain_id.as_bytes(), height, round, &block_id, time_ns.into())?)
    }
}

impl<'a> CommitSignature<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut fields = reader.fields("CommitSignature")?;
        let time_ns = fields.required("time_ns", Reader::unsigned)?;
        let signature = fields.required("signature", Reader::exactly)?;
        let validator_address = fields.required("validator_address", Reader::exactly)?;
        fields.finish()?;
        Ok(Self { validator_address, time_ns, signature })
    }
}

/// A number as it is hashed; a greater one would be cut off.
pub(super) fn in_range(number: u64) -> Result<i64, Refusal> {
    i64::try_from(number).map_err(|_| Refusal::NumberOutOfRange(format!("{number} is not a 64-bit integer")))
}
