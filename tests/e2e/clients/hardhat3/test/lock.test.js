// The test of Hardhat 3's sample project over one connection to a running network, by ethers and by viem.
import { anyValue } from "@nomicfoundation/hardhat-ethers-chai-matchers/withArgs";
import { expect } from "chai";
import { network } from "hardhat";
import { parseEventLogs } from "viem";

const { ethers, networkHelpers, viem } = await network.create({ network: "qanat" });
const { loadFixture, mine, time } = networkHelpers;
const YEAR_S = 365 * 24 * 60 * 60;
const LOCKED = 1_000_000_000n;

async function deployOneYearLock() {
  const unlockTime = (await time.latest()) + YEAR_S;
  const [owner, other] = await ethers.getSigners();
  const lock = await ethers.deployContract("Lock", [unlockTime], { value: LOCKED });
  await lock.waitForDeployment();
  return { lock, unlockTime, owner, other };
}

describe("Lock", () => {
  it("knows its time and its owner", async () => {
    const { lock, unlockTime, owner } = await loadFixture(deployOneYearLock);
    expect(await lock.unlockTime()).to.equal(unlockTime);
    expect(await lock.owner()).to.equal(owner.address);
  });

  it("gives nothing too soon, and nothing to another one", async () => {
    const { lock, unlockTime, other } = await loadFixture(deployOneYearLock);
    await expect(lock.withdraw()).to.be.revertedWithCustomError(lock, "NotYet").withArgs(unlockTime);
    await time.increaseTo(unlockTime);
    await expect(lock.connect(other).withdraw()).to.be.revertedWith("You aren't the owner");
  });

  it("gives all to its owner", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    await time.increaseTo(unlockTime);
    await expect(lock.withdraw()).to.emit(lock, "Withdrawal").withArgs(LOCKED, anyValue);
    expect(await ethers.provider.getBalance(lock.target)).to.equal(0n);
  });

  it("begins each test where the fixture ended", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    expect(await time.latest()).to.be.lessThan(unlockTime);
    expect(await ethers.provider.getBalance(lock.target)).to.equal(LOCKED);
  });

  it("is the same by viem", async () => {
    const client = await viem.getPublicClient();
    const { timestamp } = await client.getBlock();
    const lock = await viem.deployContract("Lock", [timestamp + 1000n], { value: LOCKED });
    await time.increase(2000);
    const hash = await lock.write.withdraw();
    const { logs, status } = await client.waitForTransactionReceipt({ hash });
    expect(status).to.equal("success");
    expect(parseEventLogs({ abi: lock.abi, logs })[0].args.amount).to.equal(LOCKED);
  });

  it("mines as many blocks as it is told", async () => {
    const before = await ethers.provider.getBlockNumber();
    await mine(5);
    expect(await ethers.provider.getBlockNumber()).to.be.at.least(before + 5);
  });
});
