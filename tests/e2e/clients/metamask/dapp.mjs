// A page with MetaMask: ethers over the wallet's provider deploys a contract, writes, reads, signs, and fails.
// usage: node dapp.mjs RPC_URL PRIVATE_KEY ARTIFACT.json   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { BrowserProvider, ContractFactory, hexlify, parseEther, toUtf8Bytes, verifyMessage, verifyTypedData } from "ethers";
import { openWallet } from "./wallet.mjs";

const [url, key, path] = process.argv.slice(2);
const artifact = JSON.parse(readFileSync(path, "utf8"));
const wallet = await openWallet(url, key);
const page = new BrowserProvider(wallet.provider, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const signer = await page.getSigner();

/** What a call gives, or the name of its failure. */
const outcome = async (call) => {
  try {
    return await call();
  } catch (error) {
    return error.revert?.name === "Error" ? error.reason : (error.revert?.name ?? error.message);
  }
};
/** What MetaMask wrote down of a transaction that a page sent. */
const record = async (sent) => {
  const { status, txParams, txReceipt } = await wallet.untilDone(sent.hash);
  return { status, type: txParams.type, gas: Number(txParams.gas), receipt: Number(txReceipt?.status) };
};

const fees = await wallet.estimateFees();
const contract = await new ContractFactory(artifact.abi, artifact.bytecode, signer).deploy();
const created = await record(contract.deploymentTransaction());
await contract.waitForDeployment();
const secret = hexlify(toUtf8Bytes("what MetaMask hides from everybody"));
const stored = await contract.store(secret);
const written = await record(stored);
const receiver = `0x${"be".repeat(20)}`;
const before = await page.getBalance(receiver);
const paid = await record(await signer.sendTransaction({ to: receiver, value: parseEther("1.5") }));

const domain = { name: "Qanat", version: "1", chainId: Number(wallet.chainId), verifyingContract: contract.target };
const types = { Order: [{ name: "to", type: "address" }, { name: "amounts", type: "uint256[]" }] };
const order = { to: wallet.address, amounts: [1n, 2n] };
const typed = await signer.signTypedData(domain, types, order);
const plain = await signer.signMessage("hello");

console.log(
  JSON.stringify({
    chainId: Number(wallet.chainId),
    is1559: await wallet.is1559(),
    estimated: fees.gasEstimateType,
    vault: contract.target,
    stored: stored.hash,
    created,
    written,
    paid,
    received: Number((await page.getBalance(receiver)) - before),
    whoAmI: await contract.whoAmI(),
    revealed: await outcome(async () => (await contract.reveal()) === secret),
    reason: await outcome(() => contract.failWithReason()),
    custom: await outcome(() => contract.failWithCustomError()),
    typed: verifyTypedData(domain, types, order, typed).toLowerCase() === wallet.address,
    plain: verifyMessage("hello", plain).toLowerCase() === wallet.address,
  }),
);
process.exit(0);
