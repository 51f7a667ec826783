// What @nomicfoundation/hardhat-network-helpers does, unmodified, on a network that is not Hardhat's:
// QANAT_URL=… QANAT_KEY=… node --test network_helpers.test.cjs
const assert = require("node:assert");
const { before, describe, it } = require("node:test");
const { network } = require("hardhat");
const { createWalletClient, defineChain, http } = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const {
  impersonateAccount,
  loadFixture,
  mine,
  mineUpTo,
  reset,
  setBalance,
  setCode,
  setNextBlockBaseFeePerGas,
  setNonce,
  setStorageAt,
  stopImpersonatingAccount,
  takeSnapshot,
  time,
} = require("@nomicfoundation/hardhat-network-helpers");

const YEAR_S = 365 * 86_400;
const RECEIVER = "0x00000000000000000000000000000000000f1eaf";
const ask = (method, ...params) => network.provider.request({ method, params });
const chain = defineChain({
  id: 0x5afd,
  name: "qanat",
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 },
  rpcUrls: { default: { http: [process.env.QANAT_URL] } },
});
const account = privateKeyToAccount(process.env.QANAT_KEY);
const wallet = createWalletClient({ chain, account, transport: http() });
const balance = async () => BigInt(await ask("eth_getBalance", RECEIVER, "latest"));

async function send(value) {
  const hash = await wallet.sendTransaction({ to: RECEIVER, value, gas: 50_000n, gasPrice: 100_000_000_000n });
  const receipt = await ask("eth_getTransactionReceipt", hash);
  assert.equal(receipt.status, "0x1");
  return ask("eth_getBlockByNumber", receipt.blockNumber, false);
}

describe("hardhat-network-helpers", () => {
  let fixtures = 0;

  // Blocks come only by transactions, as on Hardhat's own network, and where an epoch begins.
  before(() => ask("evm_setIntervalMining", 0));

  async function funded() {
    fixtures += 1;
    await send(7n);
    return balance();
  }

  for (const round of [1, 2, 3]) {
    it(`loadFixture begins anew, ${round}`, async () => {
      const start = await loadFixture(funded);
      assert.equal(await balance(), start);
      await send(BigInt(round));
      assert.equal(await balance(), start + BigInt(round));
      assert.equal(fixtures, 1);
    });
  }

  it("time.increase and increaseTo reach their time", async () => {
    await loadFixture(funded);
    const start = await time.latest();
    const later = await time.increase(YEAR_S);
    assert.ok(later >= start + YEAR_S && later < start + YEAR_S + 600);
    await time.increaseTo(later + 3_600);
    const latest = await time.latest();
    assert.ok(latest >= later + 3_600 && latest < later + 4_200);
  });

  it("time.setNextBlockTimestamp is that of the next transaction's block", async () => {
    await loadFixture(funded);
    const chosen = (await time.latest()) + 12_345;
    await time.setNextBlockTimestamp(chosen);
    assert.equal(Number((await send(1n)).timestamp), chosen);
  });

  it("mine makes so many blocks, so far apart", async () => {
    await loadFixture(funded);
    const start = await time.latestBlock();
    const before = await time.latest();
    await mine(300, { interval: 12 });
    const mined = (await time.latestBlock()) - start;
    assert.ok(mined >= 300 && mined <= 310, `${mined} blocks`);
    assert.ok((await time.latest()) >= before + 299 * 12);
    await mineUpTo(start + 350);
    assert.ok((await time.latestBlock()) >= start + 350);
  });

  it("accounts are what is said, and go back with a fixture", async () => {
    await loadFixture(funded);
    const stranger = "0x00000000000000000000000000000000cafe0001";
    const answersItsFirstSlot = "0x5f545f5260205ff3";
    await setBalance(stranger, 10n ** 18n);
    await setNonce(stranger, 41);
    await setCode(stranger, answersItsFirstSlot);
    await setStorageAt(stranger, 0, 0x5ec2e7);
    assert.equal(BigInt(await ask("eth_getBalance", stranger, "latest")), 10n ** 18n);
    assert.equal(await ask("eth_getTransactionCount", stranger, "latest"), "0x29");
    assert.equal(await ask("eth_getCode", stranger, "latest"), answersItsFirstSlot);
    assert.equal(Number(await ask("eth_call", { to: stranger }, "latest")), 0x5ec2e7);
    assert.equal(Number(await ask("eth_getStorageAt", stranger, "0x0", "latest")), 0);

    const transfer = { from: stranger, to: RECEIVER, value: "0x5" };
    await assert.rejects(ask("eth_sendTransaction", transfer), /unknown account/);
    await impersonateAccount(stranger);
    const receipt = await ask("eth_getTransactionReceipt", await ask("eth_sendTransaction", transfer));
    assert.equal(receipt.from.toLowerCase(), stranger);
    assert.equal(receipt.status, "0x1");
    await stopImpersonatingAccount(stranger);
    await assert.rejects(ask("eth_sendTransaction", transfer), /unknown account/);

    await setNextBlockBaseFeePerGas(200_000_000_000n);
    await assert.rejects(send(1n), /max fee per gas less than block base fee: .*baseFee: 200000000000/);

    await loadFixture(funded);
    assert.equal(BigInt(await ask("eth_getBalance", stranger, "latest")), 0n);
    assert.equal(await ask("eth_getCode", stranger, "latest"), "0x");
    await send(1n);
  });

  it("time goes back with a snapshot", async () => {
    await loadFixture(funded);
    const snapshot = await takeSnapshot();
    const before = await time.latest();
    await time.increase(YEAR_S);
    await snapshot.restore();
    assert.ok((await time.latest()) < before + 3_600);
  });

  it("everything goes back to the start by a reset", async () => {
    await send(1n);
    await reset();
    assert.equal(BigInt(await ask("eth_getBalance", RECEIVER, "latest")), 0n);
    await send(2n);
    assert.equal(BigInt(await ask("eth_getBalance", RECEIVER, "latest")), 2n);
    await assert.rejects(reset("http://127.0.0.1:1"), /fork/);
  });
});
