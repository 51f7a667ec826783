// web3.js 4 with nothing set but the profile: deploy, EIP-1559 transaction, revert reasons, event by subscription.
// usage: node web3js.mjs RPC_URL PRIVATE_KEY ARTIFACT.json WS_URL   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { HttpProvider, Web3 } from "web3";

const [url, key, path, wsUrl] = process.argv.slice(2);
const artifact = JSON.parse(readFileSync(path, "utf8"));
const web3 = new Web3(new HttpProvider(url, { providerOptions: { headers: { "x-qanat-profile": "dev" } } }));
const { address } = web3.eth.accounts.wallet.add(key)[0];
const secret = "0x" + Buffer.from("web3.js says this in plain").toString("hex");

const reasonOf = async (call) => {
  try {
    await call();
    return "no failure";
  } catch (error) {
    return error.cause?.message ?? error.reason ?? error.message;
  }
};

const vault = await new web3.eth.Contract(artifact.abi).deploy({ data: artifact.bytecode }).send({ from: address });
const listening = new Web3(wsUrl);
const watched = new listening.eth.Contract(artifact.abi, vault.options.address);
const subscription = watched.events.SecretStored();
await new Promise((resolve) => subscription.on("connected", resolve));
const heard = new Promise((resolve, reject) => {
  subscription.on("data", resolve);
  subscription.on("error", reject);
});
const stored = await vault.methods.store(secret).send({ from: address });
const sent = await web3.eth.getTransaction(stored.transactionHash);
const plain = await web3.eth.sendTransaction({ from: address, to: "0x000000000000000000000000000000000000bEEF", value: 1n });
// A call that pays: the entry point that every chain has keeps a deposit.
const entryPoint = new web3.eth.Contract(
  [
    { type: "function", name: "depositTo", stateMutability: "payable", inputs: [{ name: "account", type: "address" }], outputs: [] },
    { type: "function", name: "balanceOf", stateMutability: "view", inputs: [{ name: "account", type: "address" }],
      outputs: [{ name: "", type: "uint256" }] },
  ],
  "0x0000000071727De22E5E9d8BAf0edAc6f37da032",
);
const held = await entryPoint.methods.balanceOf(address).call();
const paid = await entryPoint.methods.depositTo(address).send({ from: address, value: "5" });
const result = {
  paidStatus: Number(paid.status),
  paid: Number((await entryPoint.methods.balanceOf(address).call()) - held),
  chainId: Number(await web3.eth.getChainId()),
  status: Number(stored.status),
  type: Number(sent.type),
  matches: await vault.methods.matches(secret).call(),
  heard: (await heard).transactionHash === stored.transactionHash,
  plainStatus: Number(plain.status),
  reason: await reasonOf(() => vault.methods.failWithReason().call()),
  sendReason: await reasonOf(() => vault.methods.failWithReason().send({ from: address })),
};
listening.currentProvider.disconnect();
console.log(JSON.stringify(result));
