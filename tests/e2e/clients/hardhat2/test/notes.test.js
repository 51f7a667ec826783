// What only a confidential chain has: secrets, who asks, Sign-in with Ethereum, subcalls.
const { loadFixture, mine } = require("@nomicfoundation/hardhat-network-helpers");
const { expect } = require("chai");
const { ethers } = require("hardhat");
const { SiweMessage } = require("siwe");

const DOMAIN = "notes.example";
const SECRET = "nobody else reads this";

async function deployNotes() {
  const [ana, ben] = await ethers.getSigners();
  const notes = await ethers.deployContract("Notes", [DOMAIN]);
  await notes.waitForDeployment();
  await (await notes.write(SECRET)).wait();
  return { notes, ana, ben };
}

async function login(notes, user, changed = {}) {
  const message = new SiweMessage({
    domain: DOMAIN,
    address: user.address,
    statement: "Read my note.",
    uri: `https://${DOMAIN}`,
    version: "1",
    chainId: Number((await ethers.provider.getNetwork()).chainId),
    ...changed,
  }).toMessage();
  const { r, s, v } = ethers.Signature.from(await user.signMessage(message));
  return notes.connect(new ethers.VoidSigner(ethers.ZeroAddress, ethers.provider)).login(message, { r, s, v });
}

describe("Notes", () => {
  it("sends nothing in plain", async () => {
    const { notes } = await loadFixture(deployNotes);
    const sent = await notes.write(SECRET);
    const found = await ethers.provider.getTransaction(sent.hash);
    expect(found.data).not.to.contain(Buffer.from(SECRET).toString("hex"));
    expect(found.data.startsWith("0xa264626f6479")).to.equal(true);
    expect((await sent.wait()).status).to.equal(1);
  });

  it("shows a note to who logged in", async () => {
    const { notes, ana, ben } = await loadFixture(deployNotes);
    const token = await login(notes, ana);
    const anybody = new ethers.Contract(notes.target, notes.interface, ethers.provider);
    expect(await anybody.read(token)).to.equal(SECRET);
    expect(await anybody.read(await login(notes, ben))).to.equal("");
    // Calls of this plugin are not signed: a contract sees nobody ask.
    expect(await notes.read("0x")).to.equal("");
    const forged = ethers.hexlify(ethers.randomBytes(ethers.dataLength(token)));
    await expect(anybody.read(forged)).to.be.reverted;
  });

  it("lets nobody in for another domain or chain", async () => {
    const { notes, ana } = await loadFixture(deployNotes);
    await expect(login(notes, ana, { domain: "other.example" })).to.be.revertedWithCustomError(
      notes, "SiweAuth_DomainMismatch");
    await expect(login(notes, ana, { chainId: 1 })).to.be.revertedWithCustomError(notes, "SiweAuth_ChainIdMismatch");
  });

  it("seals and opens by the precompiles", async () => {
    const { notes, ana } = await loadFixture(deployNotes);
    const key = ethers.hexlify(ethers.randomBytes(32)), nonce = ethers.hexlify(ethers.randomBytes(32));
    const sealed = await notes.sealedNote(await login(notes, ana), key, nonce);
    expect(await notes.opened(key, nonce, sealed)).to.equal(SECRET);
    await expect(notes.opened(nonce, nonce, sealed)).to.be.reverted;
    const [one, other] = await notes.randomPair();
    expect(one).not.to.equal(other);
  });

  it("asks the runtime by subcalls", async () => {
    const { notes, ben } = await loadFixture(deployNotes);
    expect(await notes.epoch()).to.be.greaterThan(0n);
    await (await notes.pay(ben.address, 3n, { value: 5n })).wait();
    expect(await ethers.provider.getBalance(notes.target)).to.equal(2n);
  });

  it("mines as many blocks as it is told", async () => {
    const before = await ethers.provider.getBlockNumber();
    await mine(5);
    expect(await ethers.provider.getBlockNumber()).to.be.at.least(before + 5);
  });
});
