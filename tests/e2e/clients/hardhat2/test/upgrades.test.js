// Proxies of EIP-1967 by OpenZeppelin's plugin, which reads their slots from the chain.
const { expect } = require("chai");
const { ethers, upgrades } = require("hardhat");

describe("Upgrades", () => {
  for (const kind of ["uups", "transparent"]) {
    it(`goes from one ${kind} implementation to the next and keeps its state`, async () => {
      const Counter = await ethers.getContractFactory("Counter");
      const counter = await upgrades.deployProxy(Counter, [5], { kind });
      await counter.waitForDeployment();
      await (await counter.increase()).wait();
      const before = await upgrades.erc1967.getImplementationAddress(counter.target);
      const faster = await upgrades.upgradeProxy(counter, await ethers.getContractFactory("FastCounter"), { kind });
      await (await faster.increase()).wait();
      expect(await faster.current()).to.equal(16n);
      expect(await upgrades.erc1967.getImplementationAddress(counter.target)).not.to.equal(before);
    });
  }

  it("upgrades all proxies of a beacon at once", async () => {
    const beacon = await upgrades.deployBeacon(await ethers.getContractFactory("Counter"));
    const Counter = await ethers.getContractFactory("Counter");
    const counters = [await upgrades.deployBeaconProxy(beacon, Counter, [1]), await upgrades.deployBeaconProxy(beacon, Counter, [2])];
    await upgrades.upgradeBeacon(beacon, await ethers.getContractFactory("FastCounter"));
    for (const counter of counters) await (await counter.increase()).wait();
    expect(await Promise.all(counters.map((one) => one.current()))).to.deep.equal([11n, 12n]);
    expect(await upgrades.erc1967.getBeaconAddress(counters[0].target)).to.equal(beacon.target);
  });

  it("refuses an implementation whose storage does not fit", async () => {
    const counter = await upgrades.deployProxy(await ethers.getContractFactory("Counter"), [5], { kind: "uups" });
    const broken = await ethers.getContractFactory("BrokenCounter");
    let refused = "";
    await upgrades.upgradeProxy(counter, broken, { kind: "uups" }).catch((error) => { refused = error.message; });
    expect(refused).to.contain("New storage layout is incompatible");
  });
});
