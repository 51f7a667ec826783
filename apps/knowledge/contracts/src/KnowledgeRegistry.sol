// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Documents by their commitments, with what their owners allow of their text. The first commitment wins.
contract KnowledgeRegistry {
    struct Document {
        address owner;
        /// Place in the order of registration, from 1.
        uint64 number;
        uint32 chunks;
        /// Longest run of the text that an answer may carry [letters and digits].
        uint32 maxRun;
        /// How much of the text one asker gets in all his answers together [letters and digits].
        uint32 budget;
        bool removed;
    }

    /// Shorter runs are in many texts, and nobody's.
    uint32 public constant LEAST_RUN = 24;
    uint32 public constant MAX_CHUNKS = 256;

    mapping(bytes32 => Document) private documents;
    uint64 public count;

    event Registered(bytes32 indexed commitment, address indexed owner, uint64 number, uint32 chunks);
    event Removed(bytes32 indexed commitment);

    error AlreadyCommitted(bytes32 commitment);
    error UnknownDocument(bytes32 commitment);
    error NotOwner(address caller);
    error BadPolicy();

    function register(bytes32 commitment, uint32 chunks, uint32 maxRun, uint32 budget) external {
        if (commitment == 0 || documents[commitment].owner != address(0)) revert AlreadyCommitted(commitment);
        if (chunks == 0 || chunks > MAX_CHUNKS || maxRun < LEAST_RUN || budget < maxRun) revert BadPolicy();
        count += 1;
        documents[commitment] = Document(msg.sender, count, chunks, maxRun, budget, false);
        emit Registered(commitment, msg.sender, count, chunks);
    }

    /// No answer uses it from now on; what it has earned stays its owner's.
    function remove(bytes32 commitment) external {
        Document storage found = documents[commitment];
        if (found.owner != msg.sender) revert NotOwner(msg.sender);
        found.removed = true;
        emit Removed(commitment);
    }

    function documentOf(bytes32 commitment) external view returns (Document memory found) {
        found = documents[commitment];
        if (found.owner == address(0)) revert UnknownDocument(commitment);
    }

    function ownerOf(bytes32 commitment) external view returns (address owner) {
        owner = documents[commitment].owner;
        if (owner == address(0)) revert UnknownDocument(commitment);
    }

    /// Which of these are registered and not removed.
    function areThere(bytes32[] calldata commitments) external view returns (bool[] memory found) {
        found = new bool[](commitments.length);
        for (uint256 at = 0; at < found.length; at++) {
            Document storage one = documents[commitments[at]];
            found[at] = one.owner != address(0) && !one.removed;
        }
    }
}
