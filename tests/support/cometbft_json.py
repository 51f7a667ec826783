"""Headers, commits and validators in the JSON of CometBFT's RPC. Source: rpc/openapi @ v0.40.0."""

import base64
from datetime import UTC, datetime

from shared.rules.headers import validator_address
from shared.types.proof import BlockId, Commit, CommitSignature, Header, LightBlock, Validator


def light_block_json(block: LightBlock, next_validators: tuple[Validator, ...]) -> dict:
    return {
        "signed_header": {"header": _header(block.header), "commit": _commit(block.commit)},
        "validators": [_validator(validator) for validator in block.validators],
        "next_validators": [_validator(validator) for validator in next_validators],
    }


def rfc3339(time_ns: int) -> str:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09}Z"


def _header(header: Header) -> dict:
    return {
        "version": {"block": str(header.version_block), "app": str(header.version_app)},
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": rfc3339(header.time_ns),
        "last_block_id": _block_id(header.last_block_id),
        "last_commit_hash": _hex(header.last_commit_hash),
        "data_hash": _hex(header.data_hash),
        "validators_hash": _hex(header.validators_hash),
        "next_validators_hash": _hex(header.next_validators_hash),
        "consensus_hash": _hex(header.consensus_hash),
        "app_hash": _hex(header.app_hash),
        "last_results_hash": _hex(header.last_results_hash),
        "evidence_hash": _hex(header.evidence_hash),
        "proposer_address": _hex(header.proposer_address),
    }


def _block_id(name: BlockId) -> dict:
    parts = {"total": name.parts_total, "hash": _hex(name.parts_hash)}
    return {"hash": _hex(name.hash), "parts": parts}


def _commit(commit: Commit) -> dict:
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": _block_id(commit.block_id),
        "signatures": [_signature(signature) for signature in commit.signatures],
    }


def _signature(signature: CommitSignature) -> dict:
    return {
        "block_id_flag": 2,
        "validator_address": _hex(signature.validator_address),
        "timestamp": rfc3339(signature.time_ns),
        "signature": base64.b64encode(signature.signature).decode(),
    }


def _validator(validator: Validator) -> dict:
    key = base64.b64encode(validator.public_key).decode()
    return {
        "address": _hex(validator_address(validator.public_key)),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": key},
        "voting_power": str(validator.power),
        "proposer_priority": "0",
    }


def _hex(data: bytes) -> str:
    return data.hex().upper()
