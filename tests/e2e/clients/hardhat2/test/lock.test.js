// The test of Hardhat's sample project, with its fixtures, its time and its matchers.
const { time, loadFixture } = require("@nomicfoundation/hardhat-network-helpers");
const { anyValue } = require("@nomicfoundation/hardhat-chai-matchers/withArgs");
const { expect } = require("chai");
const { ethers } = require("hardhat");

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
    expect(await ethers.provider.getBalance(lock.target)).to.equal(LOCKED);
  });

  it("is not made for the past", async () => {
    const now = await time.latest();
    const Lock = await ethers.getContractFactory("Lock");
    await expect(Lock.deploy(now, { value: 1 })).to.be.revertedWith("Unlock time should be in the future");
  });

  it("gives nothing too soon", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    await expect(lock.withdraw()).to.be.revertedWithCustomError(lock, "NotYet").withArgs(unlockTime);
  });

  it("gives nothing to another one", async () => {
    const { lock, unlockTime, other } = await loadFixture(deployOneYearLock);
    await time.increaseTo(unlockTime);
    await expect(lock.connect(other).withdraw()).to.be.revertedWith("You aren't the owner");
  });

  it("tells what it gave", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    await time.increaseTo(unlockTime);
    await expect(lock.withdraw()).to.emit(lock, "Withdrawal").withArgs(LOCKED, anyValue);
  });

  it("gives all to its owner", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    await time.increaseTo(unlockTime);
    await expect(lock.withdraw()).to.changeEtherBalance(lock, -LOCKED);
  });

  it("begins each test where the fixture ended", async () => {
    const { lock, unlockTime } = await loadFixture(deployOneYearLock);
    expect(await time.latest()).to.be.lessThan(unlockTime);
    expect(await ethers.provider.getBalance(lock.target)).to.equal(LOCKED);
  });
});
