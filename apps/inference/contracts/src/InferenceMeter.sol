// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";

/// Prepaid credit for API keys, and a root of all receipts for each epoch.
///
/// An API key stands here by its hash alone, and whose money is behind it is confidential state. The service charges
/// what was used, at most what is there, once for each epoch, with the Merkle root of its receipts: who holds a receipt
/// can show that the service has committed to it, and a service cannot take a committed receipt back.
contract InferenceMeter {
    /// Who pays in waits so long for what is left [s]: what was used before is charged first.
    uint256 public constant NOTICE_S = 1 hours;
    uint256 public constant MAX_CHARGES = 256;

    /// Account of the service: derived in the enclave from the app's key. It asks, and takes what was earned.
    address public service;
    /// The attested app whose registered instances charge epochs; zero where the service's account does.
    bytes21 public immutable app;

    struct Account {
        address owner;
        uint128 creditWei;
        uint64 noticeAt;
    }

    struct Epoch {
        bytes32 root;
        uint64 receipts;
    }

    mapping(bytes32 => Account) private accounts;
    mapping(uint256 => Epoch) public epochs;
    uint256 public nextEpoch;
    uint256 private earnedWei;

    event Committed(uint256 indexed epoch, bytes32 root, uint64 receipts);

    error NotService(address caller);
    error NotOwner(address caller);
    error WrongEpoch(uint256 got, uint256 expected);
    error BadLengths();
    error TooLittle();
    error NoNotice();
    error NotSent();

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

    constructor(address service_, bytes21 app_) {
        // Nobody until an instance names it: a question that nobody has signed is asked by zero.
        service = service_ == address(0) ? address(this) : service_;
        app = app_;
    }

    /// Name the service's account, as an instance: so nobody has to be told which one an app has.
    function serveAs(address service_) external onlyApp {
        service = service_;
    }

    /// Pay in for an API key by its SHA-256; the first payer owns its account.
    function deposit(bytes32 keyHash) external payable {
        Account storage account = accounts[keyHash];
        if (account.owner == address(0)) account.owner = msg.sender;
        if (account.owner != msg.sender) revert NotOwner(msg.sender);
        if (msg.value == 0 || msg.value > type(uint128).max - account.creditWei) revert TooLittle();
        account.creditWei += uint128(msg.value);
        account.noticeAt = 0;
    }

    /// Of the account's owner or the service, by a signed query; to others every account is empty.
    function credit(bytes32 keyHash) external view returns (uint256) {
        Account storage account = accounts[keyHash];
        return msg.sender == service || msg.sender == account.owner ? account.creditWei : 0;
    }

    /// Say that what is left is wanted back; the service takes no more requests of this key.
    function giveNotice(bytes32 keyHash) external {
        Account storage account = _own(keyHash);
        account.noticeAt = uint64(block.timestamp);
    }

    /// When notice was given [Unix s], 0 for never; of the owner or the service.
    function noticeOf(bytes32 keyHash) external view returns (uint256) {
        Account storage account = accounts[keyHash];
        return msg.sender == service || msg.sender == account.owner ? account.noticeAt : 0;
    }

    /// Take back what is left, after the notice.
    function close(bytes32 keyHash, address payable to) external {
        Account storage account = _own(keyHash);
        if (account.noticeAt == 0 || block.timestamp < account.noticeAt + NOTICE_S) revert NoNotice();
        uint256 left = account.creditWei;
        account.creditWei = 0;
        account.noticeAt = 0;
        _send(to, left);
    }

    /// Charge one epoch, in order and once: the root of its receipts, and what each key used.
    function commit(
        uint256 epoch,
        bytes32 root,
        uint64 receipts,
        bytes32[] calldata keyHashes,
        uint128[] calldata usedWei
    ) external onlyApp {
        if (epoch != nextEpoch) revert WrongEpoch(epoch, nextEpoch);
        if (keyHashes.length != usedWei.length || keyHashes.length > MAX_CHARGES) revert BadLengths();
        nextEpoch = epoch + 1;
        epochs[epoch] = Epoch(root, receipts);
        uint256 sum = 0;
        for (uint256 at = 0; at < keyHashes.length; at++) {
            Account storage account = accounts[keyHashes[at]];
            uint128 charged = usedWei[at] < account.creditWei ? usedWei[at] : account.creditWei;
            account.creditWei -= charged;
            sum += charged;
        }
        earnedWei += sum;
        emit Committed(epoch, root, receipts);
    }

    /// What was charged and not yet taken; of the service.
    function earned() external view onlyService returns (uint256) {
        return earnedWei;
    }

    function withdraw(address payable to) external onlyService {
        uint256 sum = earnedWei;
        earnedWei = 0;
        _send(to, sum);
    }

    /// Whether a receipt is one of an epoch: SHA-256 of RFC 6962, as `shared/crypto/merkle.py` builds it.
    function isCommitted(
        uint256 epoch,
        bytes calldata receipt,
        uint64 index,
        bytes32[] calldata aunts
    ) external view returns (bool) {
        uint256 total = epochs[epoch].receipts;
        uint256 at = index;
        if (at >= total) return false;
        bytes32 found = sha256(abi.encodePacked(bytes1(0x00), receipt));
        uint256 used = 0;
        while (total > 1) {
            uint256 sibling = at ^ 1;
            if (sibling < total) {
                if (used == aunts.length) return false;
                bytes32 aunt = aunts[used++];
                found = sibling < at ? _inner(aunt, found) : _inner(found, aunt);
            }
            at >>= 1;
            total = (total + 1) >> 1;
        }
        return used == aunts.length && found == epochs[epoch].root;
    }

    function _own(bytes32 keyHash) private view returns (Account storage account) {
        account = accounts[keyHash];
        if (account.owner != msg.sender) revert NotOwner(msg.sender);
    }

    function _inner(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    function _send(address payable to, uint256 amountWei) private {
        if (amountWei == 0) revert TooLittle();
        (bool isSent, ) = to.call{value: amountWei}("");
        if (!isSent) revert NotSent();
    }
}
