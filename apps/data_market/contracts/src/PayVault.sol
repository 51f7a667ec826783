// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What is owed to whom; each sees and withdraws his own only.
///
/// Balances are confidential state, and no event carries an amount.
contract PayVault {
    address public immutable market;

    mapping(address => uint256) private owed;

    event Credited(bytes32 indexed job);

    error NotMarket(address caller);
    error SumIsNotThePot(uint256 sum, uint256 potWei);
    error BadLengths();
    error TooLittle();
    error NotSent();

    constructor(address market_) {
        market = market_;
    }

    function credit(bytes32 job, address[] calldata payees, uint256[] calldata amountsWei) external payable {
        if (msg.sender != market) revert NotMarket(msg.sender);
        if (payees.length != amountsWei.length) revert BadLengths();
        uint256 sum = 0;
        for (uint256 at = 0; at < payees.length; at++) {
            sum += amountsWei[at];
            owed[payees[at]] += amountsWei[at];
        }
        if (sum != msg.value) revert SumIsNotThePot(sum, msg.value);
        emit Credited(job);
    }

    /// Of the caller, so that it needs a signed query.
    function myPay() external view returns (uint256) {
        return owed[msg.sender];
    }

    function withdraw(address payable to, uint256 amountWei) external {
        if (amountWei == 0 || amountWei > owed[msg.sender]) revert TooLittle();
        owed[msg.sender] -= amountWei;
        (bool isSent, ) = to.call{value: amountWei}("");
        if (!isSent) revert NotSent();
    }
}
