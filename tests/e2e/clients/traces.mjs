// ethers and viem, unmodified, on a public ParaTime: traces, simulated blocks, access lists.
// usage: node traces.mjs RPC_URL PRIVATE_KEY   -> one JSON object on standard output
import { JsonRpcProvider, Wallet } from "ethers";
import { createPublicClient, defineChain, http } from "viem";

const [url, key] = process.argv.slice(2);
// With calldata stores its first word in slot 0, without returns it.
const code = "0x36600c575f545f5260205ff35b5f355f5500";
const init = `0x60${((code.length - 2) / 2).toString(16)}600c60003960${((code.length - 2) / 2).toString(16)}6000f3${code.slice(2)}`;
const word = "0x" + "8".padStart(64, "0");

const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
const signer = new Wallet(key, provider);
const legacy = { type: 0, gasPrice: 100_000_000_000n, gasLimit: 500_000n };
const deployed = await (await signer.sendTransaction({ data: init, ...legacy })).wait();
const cell = deployed.contractAddress;
const stored = await (await signer.sendTransaction({ to: cell, data: word, ...legacy })).wait();
const calls = await provider.send("debug_traceTransaction", [stored.hash, { tracer: "callTracer" }]);
const diff = { tracer: "prestateTracer", tracerConfig: { diffMode: true } };
const changes = await provider.send("debug_traceTransaction", [stored.hash, diff]);
const steps = await provider.send("debug_traceTransaction", [stored.hash]);

const chain = defineChain({
  id: Number((await provider.getNetwork()).chainId),
  name: "public",
  nativeCurrency: { name: "token", symbol: "T", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const client = createPublicClient({ chain, transport: http(url) });
const other = "0x" + "9".padStart(64, "0");
const blocks = await client.simulateBlocks({
  blocks: [{ calls: [{ account: signer.address, to: cell, data: other }] }, { calls: [{ to: cell }] }],
});
const list = await client.createAccessList({ account: signer.address, to: cell, data: other });
const proof = await client.getProof({ address: cell, storageKeys: ["0x" + "0".repeat(64)] });
const block = await client.getBlock();
console.log(
  JSON.stringify({
    stateRoot: block.stateRoot,
    proof: {
      ...proof,
      balance: "0x" + proof.balance.toString(16),
      nonce: "0x" + proof.nonce.toString(16),
      storageProof: proof.storageProof.map((one) => ({ ...one, value: "0x" + one.value.toString(16) })),
    },
    gasUsed: [BigInt(calls.gasUsed).toString(), stored.gasUsed.toString()],
    input: calls.input,
    after: changes.post[cell.toLowerCase()].storage,
    last: steps.structLogs.at(-1).op,
    simulated: blocks.map((block) => block.calls.map((call) => [call.status, call.data])),
    numbers: blocks.map((block) => Number(block.number)),
    accessed: list.accessList,
    read: await client.call({ to: cell }).then((answer) => answer.data),
  }),
);
