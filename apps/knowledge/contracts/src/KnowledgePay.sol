// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";
import {PayVault} from "apps/data_market/contracts/src/PayVault.sol";
import {InferenceMeter} from "apps/inference/contracts/src/InferenceMeter.sol";
import {KnowledgeRegistry} from "src/KnowledgeRegistry.sol";

/// Pays the owners of documents for answers, from the askers' prepaid credit.
///
/// Credit is an `InferenceMeter`'s and pay a `PayVault`'s, both this contract's own: what an epoch charges is shared out
/// in the same transaction, to the wei. Who is paid follows from the documents, so the app names no address.
contract KnowledgePay {
    uint256 public constant MAX_PAYS = 1024;

    /// Account of the service: derived in the enclave from the app's key. It asks, and is paid for tokens.
    address public service;
    /// The attested app whose registered instances settle epochs; zero where the service's account does.
    bytes21 public immutable app;
    /// What one answer costs beside its tokens; it is the owners'.
    uint256 public immutable answerWei;
    KnowledgeRegistry public immutable registry;
    InferenceMeter public immutable meter;
    PayVault public immutable vault;

    error NotService(address caller);
    error NotMeter(address caller);
    error BadLengths();
    error MoreThanCharged(uint256 sum, uint256 chargedWei);

    modifier onlyService() {
        if (msg.sender != service) revert NotService(msg.sender);
        _;
    }

    /// Who signed the transaction counts, not who calls: the chain knows the keys of instances.
    modifier onlyApp() {
        if (app != bytes21(0)) Subcall.roflEnsureAuthorizedOrigin(app);
        else if (msg.sender != service) revert NotService(msg.sender);
        _;
    }

    constructor(address service_, bytes21 app_, uint256 answerWei_) {
        // Nobody until an instance names it: a question that nobody has signed is asked by zero.
        service = service_ == address(0) ? address(this) : service_;
        app = app_;
        answerWei = answerWei_;
        registry = new KnowledgeRegistry();
        meter = new InferenceMeter(address(this), bytes21(0));
        vault = new PayVault(address(this));
    }

    /// Name the service's account, as an instance: so nobody has to be told which one an app has.
    function serveAs(address service_) external onlyApp {
        service = service_;
    }

    receive() external payable {
        if (msg.sender != address(meter)) revert NotMeter(msg.sender);
    }

    /// What an API key may still spend: nothing once notice was given, though what was used is charged.
    function spendable(bytes32 keyHash) external view onlyService returns (uint256) {
        return meter.noticeOf(keyHash) == 0 ? meter.credit(keyHash) : 0;
    }

    function creditOf(bytes32 keyHash) external view onlyService returns (uint256) {
        return meter.credit(keyHash);
    }

    /// Charge one epoch, in order and once, and share it out; what no document earned is the service's.
    function settle(
        uint256 epoch,
        bytes32 root,
        uint64 receipts,
        bytes32[] calldata keyHashes,
        uint128[] calldata usedWei,
        bytes32[] calldata documents,
        uint256[] calldata paysWei
    ) external onlyApp {
        if (documents.length != paysWei.length || documents.length > MAX_PAYS) revert BadLengths();
        meter.commit(epoch, root, receipts, keyHashes, usedWei);
        uint256 chargedWei = meter.earned();
        if (chargedWei != 0) meter.withdraw(payable(this));
        address[] memory payees = new address[](documents.length + 1);
        uint256[] memory amounts = new uint256[](documents.length + 1);
        uint256 sum = 0;
        for (uint256 at = 0; at < documents.length; at++) {
            payees[at] = registry.ownerOf(documents[at]);
            amounts[at] = paysWei[at];
            sum += paysWei[at];
        }
        if (sum > chargedWei) revert MoreThanCharged(sum, chargedWei);
        payees[documents.length] = service;
        amounts[documents.length] = chargedWei - sum;
        vault.credit{value: chargedWei}(bytes32(epoch), payees, amounts);
    }
}
