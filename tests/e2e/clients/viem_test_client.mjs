// viem's test client, unmodified: node viem_test_client.mjs URL PRIVATE_KEY ARTIFACT
import { createPublicClient, createTestClient, createWalletClient, defineChain, http, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, key] = process.argv.slice(2);
const chain = defineChain({
  id: 0x5afd,
  name: "qanat",
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url);
const account = privateKeyToAccount(key);
const reader = createPublicClient({ chain, transport, cacheTime: 0, pollingInterval: 50 });
const wallet = createWalletClient({ chain, transport, account });
const seen = {};

for (const mode of ["anvil", "hardhat"]) {
  const tester = createTestClient({ mode, chain, transport });
  const to = "0x000000000000000000000000000000000000dEaD";
  const send = () => wallet.sendTransaction({ to, value: 1n, gas: 50_000n, gasPrice: 100_000_000_000n });
  const id = await tester.snapshot();
  const before = await reader.getBlock();

  await tester.increaseTime({ seconds: 30 * 86_400 });
  const moved = await reader.getBlock();

  const chosen = moved.timestamp + 1_000n;
  await tester.setNextBlockTimestamp({ timestamp: chosen });
  const receipt = await reader.waitForTransactionReceipt({ hash: await send() });
  const mined = await reader.getBlock({ blockNumber: receipt.blockNumber });

  const start = await reader.getBlockNumber();
  await tester.mine({ blocks: 20, interval: 60 });
  const end = await reader.getBlock();

  await tester.setAutomine(false);
  const automine = await tester.getAutomine();
  const waiting = await send();
  const absent = await reader.getTransactionReceipt({ hash: waiting }).then(() => false, () => true);
  await tester.mine({ blocks: 1 });
  const found = await reader.getTransactionReceipt({ hash: waiting });
  await tester.setAutomine(true);

  const stranger = "0x00000000000000000000000000000000cafe0002";
  await tester.setBalance({ address: stranger, value: parseEther("1") });
  await tester.impersonateAccount({ address: stranger });
  const theirs = createWalletClient({ chain, transport, account: stranger });
  const spent = await reader.waitForTransactionReceipt({
    hash: await theirs.sendTransaction({ to, value: 1n, gas: 50_000n, gasPrice: 100_000_000_000n }),
  });
  await tester.stopImpersonatingAccount({ address: stranger });
  await tester.setBalance({ address: stranger, value: 5n });
  await tester.setNonce({ address: stranger, nonce: 7 });
  await tester.setCode({ address: stranger, bytecode: "0x5f545f5260205ff3" });
  await tester.setStorageAt({ address: stranger, index: 0, value: `0x${"ab".repeat(32)}` });
  await tester.setNextBlockBaseFeePerGas({ baseFeePerGas: 100_000_000_000n });
  const edited = {
    balance: String(await reader.getBalance({ address: stranger })),
    nonce: await reader.getTransactionCount({ address: stranger }),
    code: await reader.getCode({ address: stranger }),
    answer: (await reader.call({ to: stranger })).data,
    from: spent.from.toLowerCase(),
  };

  await tester.setIntervalMining({ interval: 1 });
  await tester.revert({ id });
  const back = await reader.getBlock();
  seen[mode] = {
    moved: Number(moved.timestamp - before.timestamp),
    chosen: mined.timestamp === chosen,
    mined: Number(end.number - start),
    spread: Number(end.timestamp - mined.timestamp),
    automine,
    absent,
    status: found.status,
    edited,
    back: Number(back.timestamp - before.timestamp),
  };
}
console.log(JSON.stringify(seen));
