// viem with the Sapphire transport and serializer: deploy, encrypted transaction and call, revert, event.
// usage: node viem.mjs RPC_URL PRIVATE_KEY ARTIFACT.json   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, parseEventLogs, stringToHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import {
  sapphireHttpTransport,
  sapphireLocalnet,
  wrapWalletClient,
} from "@oasisprotocol/sapphire-viem-v2";

const [url, key, path] = process.argv.slice(2);
const artifact = JSON.parse(readFileSync(path, "utf8"));
const chain = defineChain({ ...sapphireLocalnet, rpcUrls: { default: { http: [url] } } });
const transport = sapphireHttpTransport(undefined, url);
const publicClient = createPublicClient({ chain, transport, pollingInterval: 50 });
const account = privateKeyToAccount(key);
const wallet = await wrapWalletClient(createWalletClient({ account, chain, transport }));
const secret = stringToHex("viem keeps a secret");

const failure = async (call) => {
  try {
    await call();
    return "no failure";
  } catch (error) {
    const cause = error.walk?.((one) => one.name === "ContractFunctionRevertedError");
    return { name: error.name, reason: cause?.reason ?? null, error: cause?.data?.errorName ?? null };
  }
};

const deployHash = await wallet.deployContract({ abi: artifact.abi, bytecode: artifact.bytecode });
const deployed = await publicClient.waitForTransactionReceipt({ hash: deployHash });
const contract = { address: deployed.contractAddress, abi: artifact.abi };
const hash = await wallet.writeContract({ ...contract, functionName: "store", args: [secret] });
const receipt = await publicClient.waitForTransactionReceipt({ hash });
const sent = await publicClient.getTransaction({ hash });
const read = (functionName, args = []) => publicClient.readContract({ ...contract, functionName, args });
console.log(
  JSON.stringify({
    chainId: await publicClient.getChainId(),
    deployed: contract.address,
    status: receipt.status,
    input: sent.input,
    events: parseEventLogs({ abi: artifact.abi, logs: receipt.logs }).map((log) => log.eventName),
    matches: await read("matches", [secret]),
    writes: Number(await read("writes")),
    reason: await failure(() => read("failWithReason")),
    custom: await failure(() => read("failWithCustomError")),
    secretInInput: sent.input.includes(secret.slice(2)),
  }),
);
process.exit(0);
