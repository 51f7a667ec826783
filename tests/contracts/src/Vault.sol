// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Keeps one secret for its owner: what a transparent chain cannot do.
contract Vault {
    address public immutable owner;
    bytes private secret;
    uint256 public writes;

    event SecretStored(address indexed by, uint256 length);

    error NotOwner(address caller);

    constructor() {
        owner = msg.sender;
    }

    function store(bytes calldata value) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        secret = value;
        writes += 1;
        emit SecretStored(msg.sender, value.length);
    }

    /// Needs a signed query: an unsigned one has no sender.
    function reveal() external view returns (bytes memory) {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        return secret;
    }

    /// Anybody may check a guess, so an encrypted call matters.
    function matches(bytes calldata guess) external view returns (bool) {
        return keccak256(guess) == keccak256(secret);
    }

    function whoAmI() external view returns (address) {
        return msg.sender;
    }

    function nothing() external pure {}

    function failWithReason() external pure {
        revert("the reason is plain");
    }

    function failWithCustomError() external view {
        revert NotOwner(msg.sender);
    }

    function writeThenFail() external {
        writes += 1;
        revert("undone");
    }

    function blockFacts() external view returns (uint256, uint256, bytes32, uint256, uint256, address) {
        return (
            block.number,
            block.timestamp,
            blockhash(block.number - 1),
            block.basefee,
            block.gaslimit,
            block.coinbase
        );
    }

    function destroy() external {
        selfdestruct(payable(msg.sender));
    }

    receive() external payable {}
}
