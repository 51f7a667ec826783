// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Sapphire} from "@oasisprotocol/sapphire-contracts/contracts/Sapphire.sol";
import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";
import {DataRegistry} from "./DataRegistry.sol";
import {PayVault} from "./PayVault.sol";
import {PrivacyLedger} from "./PrivacyLedger.sol";

/// Jobs with their pots: opened by a model owner, committed to by every dataset's owner, run by instances of one
/// attested app.
///
/// Instances on two nodes report the hash of what they found. Where both are equal the pot is paid to the
/// datasets' owners; where any two differ nobody is paid. A job that is not settled by its deadline is refunded.
/// What an instance does again after a crash, by its new key, changes nothing.
contract JobMarket {
    enum State {
        None,
        Open,
        Committed,
        Running,
        Settled,
        Expired,
        Disputed
    }

    struct Terms {
        bytes32 recipe;
        bytes32 paramsHash;
        /// Commitment to the owner's validation rows, made before he sees anything.
        bytes32 validation;
        bytes32 schemaHash;
        /// What the job costs each dataset: sum of 1/sigma^2 over its steps, in 1e-12.
        uint64 precision;
        /// Unix seconds.
        uint64 deadline;
        /// Rising, so that none is there twice.
        bytes32[] datasets;
    }

    struct Result {
        /// Amounts in the order of the datasets, each masked by `maskOf`: the gas of calldata counts its zeros.
        uint256[] maskedWei;
        /// Random, the same of all instances: they derive it from the app's key.
        bytes32 blind;
        bytes32 modelHash;
        bytes32 cardHash;
        bytes32 valuesHash;
    }

    struct Job {
        State state;
        address owner;
        uint128 potWei;
        uint16 accepted;
        bytes32 modelHash;
        bytes32 cardHash;
        bytes32 valuesHash;
        Terms terms;
    }

    struct Reports {
        /// What the first one found; in a running job all others did as well.
        bytes32 found;
        uint256 count;
        mapping(bytes32 => bytes32) byNode;
    }

    uint256 public constant MAX_DATASETS = 64;
    uint256 public constant MUST_AGREE = 2;
    uint64 public constant LONGEST_S = 30 days;
    uint128 private constant SETTLE_GAS = 300_000;
    uint128 private constant SETTLE_GAS_EACH = 60_000;

    DataRegistry public immutable registry;
    PrivacyLedger public immutable ledger;
    PayVault public immutable vault;
    bytes21 public immutable app;

    mapping(bytes32 => Job) private jobs;
    mapping(bytes32 => mapping(bytes32 => bool)) public hasAccepted;
    mapping(bytes32 => Reports) private reports;

    event Opened(bytes32 indexed job, address indexed owner, uint256 potWei);
    event Moved(bytes32 indexed job, State state);

    error WrongState(bytes32 job, State state);
    error NotInstance();
    error NotOwner(address caller);
    error NotAllowed(bytes32 dataset);
    error BadTerms();
    error BadResult();
    error TooEarly();
    error TooLate();

    /// Instances register with the chain by evidence of their code, which the app's policy names.
    constructor(bytes21 app_) {
        if (app_ == 0) revert BadTerms();
        app = app_;
        registry = new DataRegistry();
        ledger = new PrivacyLedger(registry, address(this));
        vault = new PayVault(address(this));
    }

    /// Who signed the transaction counts, not who calls.
    modifier onlyApp() {
        Subcall.roflEnsureAuthorizedOrigin(app);
        _;
    }

    /// Id of the caller's job with this salt.
    function idOf(address owner, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, salt));
    }

    function open(bytes32 salt, Terms calldata terms) external payable returns (bytes32 id) {
        id = idOf(msg.sender, salt);
        if (jobs[id].state != State.None) revert WrongState(id, jobs[id].state);
        if (terms.deadline <= block.timestamp || terms.deadline > block.timestamp + LONGEST_S) revert BadTerms();
        if (terms.datasets.length == 0 || terms.datasets.length > MAX_DATASETS) revert BadTerms();
        for (uint256 at = 1; at < terms.datasets.length; at++) {
            if (terms.datasets[at] <= terms.datasets[at - 1]) revert BadTerms();
        }
        if (msg.value == 0 || msg.value > type(uint128).max || terms.precision == 0) revert BadTerms();
        Job storage made = jobs[id];
        made.state = State.Open;
        made.owner = msg.sender;
        made.potWei = uint128(msg.value);
        made.terms = terms;
        emit Opened(id, msg.sender, msg.value);
    }

    /// The owner of a dataset takes part; its budget is reserved with that.
    function accept(bytes32 id, uint256 place) external {
        Job storage job = _in(id, State.Open);
        if (block.timestamp >= job.terms.deadline) revert TooLate();
        bytes32 dataset = job.terms.datasets[place];
        if (registry.datasetOf(dataset).owner != msg.sender) revert NotOwner(msg.sender);
        _check(job, dataset);
        ledger.reserve(dataset, id, job.terms.precision);
        hasAccepted[id][dataset] = true;
        job.accepted += 1;
        if (job.accepted == job.terms.datasets.length) _move(id, State.Committed);
    }

    /// From now on every budget is spent, however the job ends. What it gives is all that an instance believes of a
    /// job, since whoever answers its questions may lie: terms, pot, and when each dataset was committed to.
    function start(bytes32 id)
        external
        onlyApp
        returns (Terms memory terms, uint256 potWei, uint256[] memory committedAt)
    {
        if (jobs[id].state != State.Running) _start(id);
        terms = jobs[id].terms;
        committedAt = new uint256[](terms.datasets.length);
        for (uint256 at = 0; at < committedAt.length; at++) {
            committedAt[at] = registry.datasetOf(terms.datasets[at]).blockNumber;
        }
        potWei = jobs[id].potWei;
    }

    /// An instance says what it found, by `resultHash`. It speaks for its node, whichever key it has by now: a node
    /// that says another thing later is a dispute with itself.
    function report(bytes32 id, bytes32 found) external onlyApp {
        if (found == 0) revert BadResult();
        Reports storage all = reports[id];
        bytes32 node = _originNode();
        bytes32 before = all.byNode[node];
        if (before == found) return;
        _in(id, State.Running);
        all.byNode[node] = found;
        if (before != 0 || (all.count != 0 && all.found != found)) {
            _move(id, State.Disputed);
            _refund(id);
            return;
        }
        all.found = found;
        all.count += 1;
    }

    function resultHash(bytes32 id, Result calldata result) public pure returns (bytes32) {
        return keccak256(abi.encode(id, result));
    }

    function maskOf(bytes32 blind, uint256 place) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(blind, place)));
    }

    /// Pay what two nodes reported to the datasets' owners. Its gas says nothing about the amounts.
    function settle(bytes32 id, Result calldata result) external onlyApp {
        bool isAgreed = reports[id].count >= MUST_AGREE && reports[id].found == resultHash(id, result);
        if (jobs[id].state == State.Settled && isAgreed) return;
        Job storage job = _in(id, State.Running);
        if (!isAgreed || result.maskedWei.length != job.terms.datasets.length) revert BadResult();
        if (block.timestamp >= job.terms.deadline) revert TooLate();
        job.modelHash = result.modelHash;
        job.cardHash = result.cardHash;
        job.valuesHash = result.valuesHash;
        _move(id, State.Settled);
        address[] memory payees = new address[](result.maskedWei.length);
        uint256[] memory amountsWei = new uint256[](payees.length);
        for (uint256 at = 0; at < payees.length; at++) {
            amountsWei[at] = result.maskedWei[at] ^ maskOf(result.blind, at);
            payees[at] = registry.datasetOf(job.terms.datasets[at]).owner;
        }
        vault.credit{value: job.potWei}(id, payees, amountsWei);
        Sapphire.padGas(SETTLE_GAS + SETTLE_GAS_EACH * uint128(payees.length));
    }

    /// After the deadline the pot goes back; what never started gives back its budgets.
    function expire(bytes32 id) external {
        Job storage job = jobs[id];
        if (job.state == State.Expired) return;
        bool hasStarted = job.state == State.Running;
        if (!hasStarted && job.state != State.Open && job.state != State.Committed) revert WrongState(id, job.state);
        if (block.timestamp < job.terms.deadline) revert TooEarly();
        _move(id, State.Expired);
        for (uint256 at = 0; !hasStarted && at < job.terms.datasets.length; at++) {
            if (hasAccepted[id][job.terms.datasets[at]]) ledger.release(job.terms.datasets[at], id);
        }
        _refund(id);
    }

    function jobOf(bytes32 id) external view returns (Job memory) {
        return jobs[id];
    }

    function _start(bytes32 id) private {
        Job storage job = _in(id, State.Committed);
        if (block.timestamp >= job.terms.deadline) revert TooLate();
        for (uint256 at = 0; at < job.terms.datasets.length; at++) {
            _check(job, job.terms.datasets[at]);
            ledger.spend(job.terms.datasets[at], id);
        }
        _move(id, State.Running);
    }

    /// The node that answers for the instance which signed the transaction, 32 bytes.
    function _originNode() private view returns (bytes32 node) {
        // CBOR of byte strings: 21 bytes to ask with, 32 in the answer.
        (uint64 status, bytes memory data) =
            Subcall.subcall_static("rofl.AuthorizedOriginNode", abi.encodePacked(hex"55", app));
        if (status != 0 || data.length != 34 || data[0] != 0x58 || data[1] != 0x20) revert NotInstance();
        assembly {
            node := mload(add(data, 34))
        }
    }

    function _check(Job storage job, bytes32 dataset) private view {
        if (!registry.allows(dataset, job.terms.recipe, job.terms.schemaHash, job.potWei)) revert NotAllowed(dataset);
    }

    function _in(bytes32 id, State state) private view returns (Job storage job) {
        job = jobs[id];
        if (job.state != state) revert WrongState(id, job.state);
    }

    function _move(bytes32 id, State state) private {
        jobs[id].state = state;
        emit Moved(id, state);
    }

    function _refund(bytes32 id) private {
        address[] memory payees = new address[](1);
        uint256[] memory amountsWei = new uint256[](1);
        (payees[0], amountsWei[0]) = (jobs[id].owner, jobs[id].potWei);
        vault.credit{value: jobs[id].potWei}(id, payees, amountsWei);
    }
}
