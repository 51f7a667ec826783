// User operations of ERC-4337 through the entry point that the network has from its genesis. That of version 0.8
// needs transient storage, which Sapphire's EVM does not have.
const { expect } = require("chai");
const { ethers } = require("hardhat");

const ENTRY_POINT = "0x0000000071727De22E5E9d8BAf0edAc6f37da032";
const OPERATION = "(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,"
  + "uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData,bytes signature)";
const ABI = [
  `function getUserOpHash(${OPERATION} op) view returns (bytes32)`,
  "function getNonce(address sender, uint192 key) view returns (uint256)",
  "function balanceOf(address account) view returns (uint256)",
  "function depositTo(address account) payable",
  `function handleOps(${OPERATION}[] ops, address beneficiary)`,
  "event UserOperationEvent(bytes32 indexed userOpHash, address indexed sender, address indexed paymaster,"
    + " uint256 nonce, bool success, uint256 actualGasCost, uint256 actualGasUsed)",
  "error FailedOp(uint256 opIndex, string reason)",
];

const pair = (high, low) => ethers.concat([ethers.toBeHex(high, 16), ethers.toBeHex(low, 16)]);

async function operationOf(entryPoint, wallet, owner, data) {
  const operation = {
    sender: wallet.target,
    nonce: await entryPoint.getNonce(wallet.target, 0),
    initCode: "0x",
    callData: data,
    accountGasLimits: pair(300_000, 300_000),
    preVerificationGas: 60_000,
    gasFees: pair(1, 100n * 10n ** 9n),
    paymasterAndData: "0x",
    signature: "0x",
  };
  const hash = await entryPoint.getUserOpHash(operation);
  return { ...operation, signature: owner.signingKey.sign(hash).serialized };
}

describe("EntryPoint", () => {
  it("runs what an account's owner signed, and pays whoever brought it", async () => {
    const [bundler, receiver] = await ethers.getSigners();
    const owner = ethers.Wallet.createRandom();
    const entryPoint = new ethers.Contract(ENTRY_POINT, ABI, bundler);
    const wallet = await ethers.deployContract("Wallet", [ENTRY_POINT, owner.address], { value: 10n ** 18n });
    await (await entryPoint.depositTo(wallet.target, { value: 10n ** 18n })).wait();
    const before = await ethers.provider.getBalance(receiver.address);
    const data = wallet.interface.encodeFunctionData("execute", [receiver.address, 7n, "0x"]);
    const operation = await operationOf(entryPoint, wallet, owner, data);
    const handled = entryPoint.handleOps([operation], bundler.address, { gasLimit: 2_000_000 });
    await expect(handled).to.emit(entryPoint, "UserOperationEvent");
    const [event] = await entryPoint.queryFilter(entryPoint.filters.UserOperationEvent(null, wallet.target));
    expect(event.args.success).to.equal(true);
    expect(await ethers.provider.getBalance(receiver.address)).to.equal(before + 7n);
    expect(await entryPoint.balanceOf(wallet.target)).to.equal(10n ** 18n - event.args.actualGasCost);
    expect(await wallet.calls()).to.equal(1n);
  });

  it("refuses what another one signed", async () => {
    const [bundler, receiver] = await ethers.getSigners();
    const owner = ethers.Wallet.createRandom();
    const entryPoint = new ethers.Contract(ENTRY_POINT, ABI, bundler);
    const wallet = await ethers.deployContract("Wallet", [ENTRY_POINT, owner.address], { value: 10n ** 18n });
    const data = wallet.interface.encodeFunctionData("execute", [receiver.address, 7n, "0x"]);
    const forged = await operationOf(entryPoint, wallet, ethers.Wallet.createRandom(), data);
    await expect(entryPoint.handleOps([forged], bundler.address)).to.be.revertedWithCustomError(
      entryPoint, "FailedOp").withArgs(0, "AA24 signature error");
  });
});
