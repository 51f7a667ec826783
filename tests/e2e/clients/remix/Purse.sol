// SPDX-License-Identifier: Apache-2.0
pragma solidity >=0.6.0 <0.7.0;

/// What a debugger has to show: state of several kinds, locals, and a call inside.
contract Purse {
    struct Owner { address who; uint64 since; }

    uint256 total = 5;
    bool sealedUp;
    string label;
    Owner keeper;
    uint256[] history;

    event Kept(address indexed by, uint256 amount);

    constructor(string memory name) public {
        label = name;
        keeper = Owner(msg.sender, 7);
    }

    function keep(uint256 amount) external returns (uint256) {
        uint256 doubled = twice(amount);
        total = total + doubled;
        history.push(doubled);
        emit Kept(msg.sender, amount);
        return total;
    }

    function twice(uint256 number) internal pure returns (uint256) {
        uint256 result = number * 2;
        return result;
    }

    function look() external view returns (uint256, string memory) {
        require(msg.sender == keeper.who, "not the keeper");
        return (total, label);
    }
}
