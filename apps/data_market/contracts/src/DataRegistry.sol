// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Datasets by their commitments, with what their owners allow. The first commitment wins.
contract DataRegistry {
    struct Policy {
        /// Budget: sum of 1/sigma^2 over the steps of all jobs together, in 1e-12.
        uint64 precisionCap;
        uint128 minPotWei;
        /// No job starts from then on [unix seconds].
        uint64 expiry;
        /// Hash of the purposes that the owner allows.
        bytes32 purposes;
        bytes32[] recipes;
    }

    struct Dataset {
        address owner;
        bytes32 schemaHash;
        /// Rounded up to four leading bits.
        uint32 rows;
        uint64 blockNumber;
        bool revoked;
        Policy policy;
    }

    uint256 public constant MAX_RECIPES = 16;

    mapping(bytes32 => Dataset) private datasets;

    event Registered(bytes32 indexed commitment, address indexed owner, bytes32 schemaHash, uint32 rows);
    event Revoked(bytes32 indexed commitment);

    error AlreadyCommitted(bytes32 commitment);
    error UnknownDataset(bytes32 commitment);
    error NotOwner(address caller);
    error BadPolicy();

    function register(bytes32 commitment, bytes32 schemaHash, uint32 rows, Policy calldata policy) external {
        if (commitment == 0 || datasets[commitment].owner != address(0)) revert AlreadyCommitted(commitment);
        if (rows == 0 || policy.precisionCap == 0 || policy.expiry <= block.timestamp) revert BadPolicy();
        if (policy.recipes.length == 0 || policy.recipes.length > MAX_RECIPES) revert BadPolicy();
        Dataset storage made = datasets[commitment];
        made.owner = msg.sender;
        made.schemaHash = schemaHash;
        made.rows = rows;
        made.blockNumber = uint64(block.number);
        made.policy = policy;
        emit Registered(commitment, msg.sender, schemaHash, rows);
    }

    /// No job takes it from now on; one that has started goes on.
    function revoke(bytes32 commitment) external {
        if (datasetOf(commitment).owner != msg.sender) revert NotOwner(msg.sender);
        datasets[commitment].revoked = true;
        emit Revoked(commitment);
    }

    function datasetOf(bytes32 commitment) public view returns (Dataset memory found) {
        found = datasets[commitment];
        if (found.owner == address(0)) revert UnknownDataset(commitment);
    }

    /// Whether a job of this recipe, schema and pot may start now.
    function allows(bytes32 commitment, bytes32 recipe, bytes32 schemaHash, uint256 potWei) external view returns (bool) {
        Dataset memory found = datasetOf(commitment);
        Policy memory policy = found.policy;
        if (found.revoked || block.timestamp >= policy.expiry) return false;
        if (found.schemaHash != schemaHash || potWei < policy.minPotWei) return false;
        for (uint256 at = 0; at < policy.recipes.length; at++) {
            if (policy.recipes[at] == recipe) return true;
        }
        return false;
    }
}
