// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What consensus knows of stake and of rounds, asked by a contract.
contract Figures {
    address private constant SUBCALL = 0x0100000000000000000000000000000000000103;

    /// Status 0 and CBOR, or the code and the name of the module that refused.
    event Answered(uint64 status, bytes answer);

    /// Asks in a transaction: every node that executes it must get the same answer.
    function ask(string calldata method, bytes calldata body) external {
        (bool success, bytes memory data) = SUBCALL.call(abi.encode(bytes(method), body));
        require(success, "no sub-call");
        (uint64 status, bytes memory answer) = abi.decode(data, (uint64, bytes));
        emit Answered(status, answer);
    }

    /// Asks in a question.
    function look(string calldata method, bytes calldata body) external view returns (uint64, bytes memory) {
        (bool success, bytes memory data) = SUBCALL.staticcall(abi.encode(bytes(method), body));
        require(success, "no sub-call");
        return abi.decode(data, (uint64, bytes));
    }
}
