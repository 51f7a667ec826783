// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

contract Box {
    address public immutable owner = msg.sender;
    uint256 private secret;
    uint256 public writes;

    function store(uint256 value) external {
        require(msg.sender == owner, "not the owner");
        secret = value;
        writes += 1;
    }

    function reveal() external view returns (uint256) {
        require(msg.sender == owner, "not the owner");
        return secret;
    }
}

contract Many {
    Vm private constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    function run() external {
        vm.startBroadcast();
        Box box = new Box();
        for (uint256 i = 1; i < 60; ++i) box.store(0xfeedfacecafebeef0000 + i);
        vm.stopBroadcast();
    }
}
