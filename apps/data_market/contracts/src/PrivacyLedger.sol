// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DataRegistry} from "./DataRegistry.sol";

/// Privacy budgets: reserved before a job starts, never given back after it.
///
/// A job costs the sum of 1/sigma^2 over its steps. Of Gaussian steps without sampling these sums add up
/// exactly, so that the chain composes as the accountant does. Source: arXiv 1905.02383, corollary 2.
contract PrivacyLedger {
    enum State {
        None,
        Reserved,
        Spent
    }

    struct Entry {
        State state;
        uint64 precision;
    }

    DataRegistry public immutable registry;
    address public immutable market;

    /// Reserved and spent together, by dataset.
    mapping(bytes32 => uint64) public used;
    mapping(bytes32 => mapping(bytes32 => Entry)) public entries;

    event Reserved(bytes32 indexed dataset, bytes32 indexed job, uint64 precision);
    event Spent(bytes32 indexed dataset, bytes32 indexed job);
    event Released(bytes32 indexed dataset, bytes32 indexed job);

    error NotMarket(address caller);
    error BudgetSpent(bytes32 dataset, uint64 left);
    error WrongState(bytes32 dataset, bytes32 job);

    constructor(DataRegistry registry_, address market_) {
        registry = registry_;
        market = market_;
    }

    modifier onlyMarket() {
        if (msg.sender != market) revert NotMarket(msg.sender);
        _;
    }

    function left(bytes32 dataset) public view returns (uint64) {
        return registry.datasetOf(dataset).policy.precisionCap - used[dataset];
    }

    function reserve(bytes32 dataset, bytes32 job, uint64 precision) external onlyMarket {
        if (entries[dataset][job].state != State.None || precision == 0) revert WrongState(dataset, job);
        if (precision > left(dataset)) revert BudgetSpent(dataset, left(dataset));
        used[dataset] += precision;
        entries[dataset][job] = Entry(State.Reserved, precision);
        emit Reserved(dataset, job, precision);
    }

    function spend(bytes32 dataset, bytes32 job) external onlyMarket {
        if (entries[dataset][job].state != State.Reserved) revert WrongState(dataset, job);
        entries[dataset][job].state = State.Spent;
        emit Spent(dataset, job);
    }

    /// Only of a job that never started.
    function release(bytes32 dataset, bytes32 job) external onlyMarket {
        Entry memory entry = entries[dataset][job];
        if (entry.state != State.Reserved) revert WrongState(dataset, job);
        used[dataset] -= entry.precision;
        delete entries[dataset][job];
        emit Released(dataset, job);
    }
}
