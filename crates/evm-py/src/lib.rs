//! Python bindings of `evm-core` and `consensus-core`. They convert and release the interpreter; they decide nothing.

mod config;
mod consensus;
mod convert;
mod crypto;
mod engine;
mod error;
mod ethereum;
mod light_client;
mod store;

use pyo3::prelude::*;

/// The native half of `evm_native`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use record_codec::{FrameBuffer, FrameCodec, RecordCodec};

    #[pymodule_export]
    use super::{
        config::{BlockEnv, ChainConfig},
        consensus::{
            Ed25519Key, StateTree, block_parts, commit_hash, header_hash, merkle_root, precommit_sign_bytes,
            validators_hash, verify_ed25519, verify_state_proof,
        },
        crypto::{
            cshake256, deoxysii_open, deoxysii_seal, keccak256, keypair, mrae_key, oasis_address, open_result,
            recover_signer, sha512_256, sign, sign_digest, sign_separated, verify, verify_separated, x25519_public,
        },
        engine::{CheckError, Engine, PendingBlock, TxInfo, io_root, predeployed, read_spent},
        ethereum::EthereumChain,
        light_client::LightClient,
        store::{Staged, Store, verify_proof},
    };
}
