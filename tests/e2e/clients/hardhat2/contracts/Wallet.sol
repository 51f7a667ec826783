// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// As EntryPoint 0.7 and 0.8 hand it over. Source: ERC-4337.
struct PackedUserOperation {
    address sender;
    uint256 nonce;
    bytes initCode;
    bytes callData;
    bytes32 accountGasLimits;
    uint256 preVerificationGas;
    bytes32 gasFees;
    bytes paymasterAndData;
    bytes signature;
}

/// A smart account of one owner, who signs hashes of operations as they are.
contract Wallet {
    address public immutable entryPoint;
    address public immutable owner;
    uint256 public calls;

    error NotEntryPoint(address caller);
    error CallFailed(bytes reason);

    constructor(address entryPoint_, address owner_) payable {
        entryPoint = entryPoint_;
        owner = owner_;
    }

    receive() external payable {}

    modifier onlyEntryPoint() {
        if (msg.sender != entryPoint) revert NotEntryPoint(msg.sender);
        _;
    }

    function validateUserOp(PackedUserOperation calldata operation, bytes32 hash, uint256 missing)
        external
        onlyEntryPoint
        returns (uint256)
    {
        (bytes32 r, bytes32 s) = abi.decode(operation.signature[:64], (bytes32, bytes32));
        address signer = ecrecover(hash, uint8(operation.signature[64]), r, s);
        if (missing > 0) {
            (bool isPaid, ) = msg.sender.call{value: missing}("");
            require(isPaid, "not paid");
        }
        return signer == owner ? 0 : 1;
    }

    function execute(address to, uint256 value, bytes calldata data) external onlyEntryPoint {
        calls += 1;
        (bool isDone, bytes memory reason) = to.call{value: value}(data);
        if (!isDone) revert CallFailed(reason);
    }
}
