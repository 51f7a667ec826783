//! Ethereum's rules by block: the forks of a genesis.

use alloy_eips::eip7840::BlobParams;
use revm::{context::CfgEnv, primitives::hardfork::SpecId};
use serde_json::Value;

use crate::failure::{Result, import};

/// Name, what in the genesis says when it begins, and revm's rules.
const FORKS: [(&str, &str, SpecId); 16] = [
    ("Homestead", "homesteadBlock", SpecId::HOMESTEAD),
    ("TangerineWhistle", "eip150Block", SpecId::TANGERINE),
    ("SpuriousDragon", "eip158Block", SpecId::SPURIOUS_DRAGON),
    ("Byzantium", "byzantiumBlock", SpecId::BYZANTIUM),
    // revm has no rules of its own for the blocks before EIP-1283 was taken back.
    ("Constantinople", "constantinopleBlock", SpecId::PETERSBURG),
    ("ConstantinopleFix", "petersburgBlock", SpecId::PETERSBURG),
    ("Istanbul", "istanbulBlock", SpecId::ISTANBUL),
    ("Berlin", "berlinBlock", SpecId::BERLIN),
    ("London", "londonBlock", SpecId::LONDON),
    ("Paris", "mergeNetsplitBlock", SpecId::MERGE),
    ("Shanghai", "shanghaiTime", SpecId::SHANGHAI),
    ("Cancun", "cancunTime", SpecId::CANCUN),
    ("Prague", "pragueTime", SpecId::PRAGUE),
    ("Osaka", "osakaTime", SpecId::OSAKA),
    ("BPO1", "bpo1Time", SpecId::OSAKA),
    ("BPO2", "bpo2Time", SpecId::OSAKA),
];
/// Blobs of one transaction since Osaka (EIP-7594).
const BLOBS_PER_TRANSACTION: u64 = 6;

/// Rules of one block.
#[derive(Clone)]
pub struct Rules {
    /// Of the newest fork that holds.
    pub name: &'static str,
    /// For the machine.
    pub cfg: CfgEnv,
    /// None before blobs.
    pub blobs: Option<BlobParams>,
}

impl Rules {
    /// Those of the newest fork of `config`, the genesis' own, that holds at a block.
    pub fn at(config: &Value, number: u64, timestamp: u64) -> Result<Self> {
        let holds = |(_, since, _): &&(&str, &str, SpecId)| {
            let reached = if since.ends_with("Time") { timestamp } else { number };
            config[*since].as_u64().is_some_and(|first| first <= reached)
        };
        let (name, _, spec) = *FORKS.iter().rfind(holds).unwrap_or(&("Frontier", "", SpecId::FRONTIER));
        let mut cfg = CfgEnv::new_with_spec(spec);
        cfg.chain_id = config["chainId"].as_u64().ok_or_else(|| import("the genesis names no chainId"))?;
        let mut blobs = None;
        if spec.is_enabled_in(SpecId::CANCUN) {
            let schedule = &config["blobSchedule"][name.to_lowercase()];
            let field = |field: &str| {
                schedule[field].as_u64().ok_or_else(|| import(format!("the genesis has no {field} of blobs of {name}")))
            };
            let is_osaka = spec.is_enabled_in(SpecId::OSAKA);
            let mut params = if is_osaka { BlobParams::osaka() } else { BlobParams::cancun() };
            (params.target_blob_count, params.max_blob_count) = (field("target")?, field("max")?);
            params.update_fraction = field("baseFeeUpdateFraction")?.into();
            cfg.set_max_blobs_per_tx(if is_osaka { BLOBS_PER_TRANSACTION } else { field("max")? });
            cfg.blob_base_fee_update_fraction = Some(field("baseFeeUpdateFraction")?);
            blobs = Some(params);
        }
        Ok(Self { name, cfg, blobs })
    }

    /// Whether a fork holds.
    pub fn since(&self, fork: SpecId) -> bool {
        self.cfg.spec.is_enabled_in(fork)
    }
}
