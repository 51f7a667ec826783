// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";
import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";

contract Counter is OwnableUpgradeable, UUPSUpgradeable {
    uint256 internal count;

    function initialize(uint256 first) external virtual initializer {
        __Ownable_init(msg.sender);
        __UUPSUpgradeable_init();
        count = first;
    }

    function increase() external virtual {
        count += 1;
    }

    function current() external view returns (uint256) {
        return count;
    }

    function _authorizeUpgrade(address) internal override onlyOwner {}
}

contract FastCounter is Counter {
    function initialize(uint256 first) external override initializer {
        __Ownable_init(msg.sender);
        __UUPSUpgradeable_init();
        count = first;
    }

    function increase() external override {
        count += 10;
    }
}

/// Its storage does not fit: an upgrade to it must be refused.
contract BrokenCounter is OwnableUpgradeable, UUPSUpgradeable {
    address internal somebody;
    uint256 internal count;

    function initialize(uint256 first) external initializer {
        __Ownable_init(msg.sender);
        __UUPSUpgradeable_init();
        count = first;
    }

    function _authorizeUpgrade(address) internal override onlyOwner {}
}
