// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Work of three kinds, each as much as asked for: computation, storage, events.
contract Work {
    mapping(uint256 => uint256) private slots;
    uint256 private used;

    event Noted(uint256 indexed number);

    /// Hash a value again and again.
    function hash(uint256 times) external pure returns (bytes32 value) {
        for (uint256 i = 0; i < times; i++) {
            value = keccak256(abi.encode(value));
        }
    }

    /// Write slots that were never written before.
    function store(uint256 count) external {
        uint256 end = used + count;
        for (uint256 i = used; i < end; i++) {
            slots[i] = i + 1;
        }
        used = end;
    }

    /// Emit events.
    function note(uint256 count) external {
        for (uint256 i = 0; i < count; i++) {
            emit Noted(i);
        }
    }
}
