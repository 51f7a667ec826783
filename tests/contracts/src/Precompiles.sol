// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Sapphire, sha512_256, sha512, sha384} from "@oasisprotocol/sapphire-contracts/contracts/Sapphire.sol";
import {Subcall} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";

/// Calls every Sapphire precompile through the unmodified library of the Sapphire project.
contract Precompiles {
    uint256 private padded;

    function random(uint256 count, bytes memory pers) external view returns (bytes memory) {
        return Sapphire.randomBytes(count, pers);
    }

    function roundTrip(bytes32 key, bytes32 nonce, bytes memory text, bytes memory ad)
        external
        view
        returns (bytes memory sealed_, bytes memory opened)
    {
        sealed_ = Sapphire.encrypt(key, nonce, text, ad);
        opened = Sapphire.decrypt(key, nonce, sealed_, ad);
    }

    function openWrong(bytes32 key, bytes32 nonce, bytes memory ciphertext) external view returns (bytes memory) {
        return Sapphire.decrypt(key, nonce, ciphertext, "");
    }

    function curve25519(bytes32 secret) external view returns (bytes32 pk, bytes32 shared) {
        (Sapphire.Curve25519PublicKey theirs,) = Sapphire.generateCurve25519KeyPair("qanat");
        pk = Sapphire.Curve25519PublicKey.unwrap(theirs);
        shared = Sapphire.deriveSymmetricKey(theirs, Sapphire.Curve25519SecretKey.wrap(secret));
    }

    function signAndVerify(uint8 algorithm, bytes memory seed, bytes memory context, bytes memory message)
        external
        view
        returns (bytes memory pk, bytes memory signature, bool isGood, bool isBadAccepted)
    {
        Sapphire.SigningAlg alg = Sapphire.SigningAlg(algorithm);
        bytes memory sk;
        (pk, sk) = Sapphire.generateSigningKeyPair(alg, seed);
        signature = Sapphire.sign(alg, sk, context, message);
        isGood = Sapphire.verify(alg, pk, context, message, signature);
        bytes memory other = bytes.concat(context);
        if (other.length > 0) other[0] ^= 0x01;
        else message = bytes.concat(message, "!");
        isBadAccepted = Sapphire.verify(alg, pk, other, message, signature);
    }

    function hashes(bytes memory data) external view returns (bytes32, bytes memory, bytes memory) {
        return (sha512_256(data), sha512(data), sha384(data));
    }

    function gasUsed() external view returns (uint64) {
        return Sapphire.gasUsed();
    }

    function constantTime(uint256 work, uint128 target) external {
        for (uint256 i = 0; i < work; ++i) padded = uint256(keccak256(abi.encode(padded, i)));
        Sapphire.padGas(target);
    }

    function epoch() external returns (uint256) {
        return Subcall.coreCurrentEpoch();
    }

    function callDataKey() external returns (uint256 epoch_, bytes32 key) {
        Subcall.CallDataPublicKey memory pk;
        (epoch_, pk) = Subcall.coreCallDataPublicKey();
        key = pk.key;
    }

    function rawSubcall(string memory method, bytes memory body) external returns (uint64 status, bytes memory data) {
        return Subcall.subcall(method, body);
    }

    function transferByRuntime(address to, uint128 value) external payable {
        Subcall.accountsTransfer(to, value);
    }

    receive() external payable {}
}
