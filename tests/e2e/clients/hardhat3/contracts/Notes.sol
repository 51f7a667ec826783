// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Sapphire} from "@oasisprotocol/sapphire-contracts/contracts/Sapphire.sol";
import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";
import {SiweAuth} from "@oasisprotocol/sapphire-contracts/contracts/auth/SiweAuth.sol";

/// A note a user, which only he reads, by a token of Sign-in with Ethereum.
contract Notes is SiweAuth {
    mapping(address => string) private notes;

    constructor(string memory domain) SiweAuth(domain) {}

    function write(string calldata note) external {
        notes[msg.sender] = note;
    }

    function read(bytes memory token) external view returns (string memory) {
        return notes[authMsgSender(token)];
    }

    function sealedNote(bytes memory token, bytes32 key, bytes32 nonce) external view returns (bytes memory) {
        return Sapphire.encrypt(key, nonce, bytes(notes[authMsgSender(token)]), "");
    }

    function opened(bytes32 key, bytes32 nonce, bytes calldata note) external view returns (string memory) {
        return string(Sapphire.decrypt(key, nonce, note, ""));
    }

    function randomPair() external view returns (bytes memory, bytes memory) {
        return (Sapphire.randomBytes(32, ""), Sapphire.randomBytes(32, ""));
    }

    function epoch() external view returns (uint256) {
        return Subcall.coreCurrentEpoch();
    }

    /// By the SDK's own module of accounts, not by the EVM.
    function pay(address to, uint128 amount) external payable {
        Subcall.accountsTransfer(to, amount);
    }
}
