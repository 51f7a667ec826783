// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {SiweAuth} from "@oasisprotocol/sapphire-contracts/contracts/auth/SiweAuth.sol";

/// Sign-in with Ethereum, through the unmodified library of the Sapphire project.
contract SecretLogin is SiweAuth {
    address public immutable owner;

    constructor(string memory domain) SiweAuth(domain) {
        owner = msg.sender;
    }

    function whoAmI(bytes memory token) external view returns (address) {
        return authMsgSender(token);
    }
}
