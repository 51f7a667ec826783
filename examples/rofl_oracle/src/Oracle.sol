// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";

/// Takes prices from instances of one attested app, and from nobody else.
contract Oracle {
    bytes21 public immutable app;
    uint256 public price;
    uint256 public reports;

    constructor(bytes21 app_) {
        app = app_;
    }

    function report(uint256 price_) external {
        // Who signed the transaction counts, not who calls: the chain knows the keys of instances.
        Subcall.roflEnsureAuthorizedOrigin(app);
        price = price_;
        reports += 1;
    }
}
