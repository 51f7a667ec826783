// ethers v6 with the Sapphire wrapper: deploy, encrypted transaction and call, revert, custom error, event.
// usage: node ethers.mjs RPC_URL PRIVATE_KEY ARTIFACT.json   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { ContractFactory, JsonRpcProvider, Wallet, toUtf8Bytes } from "ethers";
import { wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";

const [url, key, path] = process.argv.slice(2);
const artifact = JSON.parse(readFileSync(path, "utf8"));
// ethers answers repeated questions from a cache of 250 ms, in which this chain makes several blocks.
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
const signer = wrapEthersSigner(new Wallet(key, provider));
const secret = toUtf8Bytes("ethers keeps a secret");

const failure = async (call) => {
  try {
    await call();
    return "no failure";
  } catch (error) {
    return { code: error.code, reason: error.reason ?? null, revert: error.revert?.name ?? null };
  }
};

const factory = new ContractFactory(artifact.abi, artifact.bytecode, signer);
const vault = await factory.deploy();
await vault.waitForDeployment();
const stored = await (await vault.store(secret)).wait();
const sent = await provider.getTransaction(stored.hash);
const result = {
  chainId: Number((await provider.getNetwork()).chainId),
  deployed: await vault.getAddress(),
  deployInput: (await provider.getTransaction(vault.deploymentTransaction().hash)).data.slice(0, 12),
  status: stored.status,
  input: sent.data,
  events: stored.logs.map((log) => vault.interface.parseLog(log)?.name),
  matches: await vault.matches(secret),
  mismatches: await vault.matches(toUtf8Bytes("another")),
  writes: Number(await vault.writes()),
  whoAmI: await vault.whoAmI(),
  reason: await failure(() => vault.failWithReason()),
  custom: await failure(() => vault.failWithCustomError()),
  secretInInput: sent.data.includes(Buffer.from(secret).toString("hex")),
};
console.log(JSON.stringify(result));
provider.destroy();
