// What only a confidential chain has, by Sapphire's library for ethers: its plugin for Hardhat is one for Hardhat 2 alone.
import { wrapEthersProvider, wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";
import { expect } from "chai";
import { network } from "hardhat";
import { SiweMessage } from "siwe";

const { ethers, networkHelpers } = await network.create({ network: "qanat" });
const { loadFixture, time } = networkHelpers;
const DOMAIN = "notes.example";
const SECRET = "nobody else reads this";
const anybody = wrapEthersProvider(new ethers.JsonRpcProvider(process.env.QANAT_URL));

async function deployNotes() {
  const [ana, ben] = await ethers.getSigners();
  const plain = await ethers.deployContract("Notes", [DOMAIN]);
  await plain.waitForDeployment();
  const notes = plain.connect(wrapEthersSigner(ana));
  await (await notes.write(SECRET)).wait();
  return { notes, ana, ben };
}

async function login(notes, user, lives) {
  const expires = new Date((await time.latest()) * 1000 + lives * 1000);
  const message = new SiweMessage({
    domain: DOMAIN,
    address: user.address,
    statement: "Read my note.",
    uri: `https://${DOMAIN}`,
    version: "1",
    chainId: Number((await ethers.provider.getNetwork()).chainId),
    expirationTime: expires.toISOString(),
  }).toMessage();
  const { r, s, v } = ethers.Signature.from(await user.signMessage(message));
  return notes.connect(anybody).login(message, { r, s, v });
}

describe("Notes", () => {
  it("sends nothing in plain", async () => {
    const { notes } = await loadFixture(deployNotes);
    const sent = await notes.write(SECRET);
    const found = await ethers.provider.getTransaction(sent.hash);
    expect(found.data).not.to.contain(Buffer.from(SECRET).toString("hex"));
    expect((await sent.wait()).status).to.equal(1);
  });

  it("shows a note to who logged in, until his token ends", async () => {
    const { notes, ana, ben } = await loadFixture(deployNotes);
    const token = await login(notes, ana, 3600);
    const open = notes.connect(anybody);
    expect(await open.read(token)).to.equal(SECRET);
    expect(await open.read(await login(notes, ben, 3600))).to.equal("");
    await time.increase(3601);
    await expect(open.read(token)).to.be.revertedWithCustomError(notes, "SiweAuth_Expired");
  });

  it("seals and opens by the precompiles", async () => {
    const { notes, ana } = await loadFixture(deployNotes);
    const open = notes.connect(anybody);
    const [key, nonce] = [ethers.hexlify(ethers.randomBytes(32)), ethers.hexlify(ethers.randomBytes(32))];
    const sealed = await open.sealedNote(await login(notes, ana, 3600), key, nonce);
    expect(await open.opened(key, nonce, sealed)).to.equal(SECRET);
  });

  it("pays by a subcall", async () => {
    const { notes, ben } = await loadFixture(deployNotes);
    await expect(notes.pay(ben.address, 3n, { value: 5n })).to.changeEtherBalance(ethers, notes, 2n);
    expect(await ethers.provider.getBalance(notes.target)).to.equal(2n);
  });
});
