// viem and ethers without any Sapphire library, through `qanat view`: deploy, send, read, revert, subscribe.
// usage: node view.mjs RPC_URL PRIVATE_KEY ARTIFACT.json   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { Contract, JsonRpcProvider, Wallet, hexlify, toUtf8Bytes } from "ethers";
import { createPublicClient, createWalletClient, defineChain, http, stringToHex, webSocket } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, key, path] = process.argv.slice(2);
const artifact = JSON.parse(readFileSync(path, "utf8"));
const chain = defineChain({
  id: 0x5afd,
  name: "qanat",
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const account = privateKeyToAccount(key);
const reader = createPublicClient({ chain, transport: http(url), pollingInterval: 50 });
const wallet = createWalletClient({ account, chain, transport: http(url) });
const socket = createPublicClient({ chain, transport: webSocket(url.replace("http", "ws")) });

const failure = async (call) => {
  try {
    await call();
    return "no failure";
  } catch (error) {
    const cause = error.walk?.((one) => one.name === "ContractFunctionRevertedError") ?? error;
    return cause.revert?.name ?? cause.reason ?? cause.data?.errorName ?? error.message;
  }
};

// viem signs by itself, and asks about the hash of what it signed.
const deployed = await reader.waitForTransactionReceipt({
  hash: await wallet.deployContract({ abi: artifact.abi, bytecode: artifact.bytecode }),
});
const vault = { address: deployed.contractAddress, abi: artifact.abi };
let hear;
const heard = new Promise((resolve) => (hear = resolve));
await socket.transport.subscribe({
  params: ["logs", { address: vault.address }],
  onData: ({ result }) => hear(result),
  onError: (error) => hear(error),
});
const secret = stringToHex("what viem hides from everybody");
const hash = await wallet.writeContract({ ...vault, functionName: "store", args: [secret] });
const receipt = await reader.waitForTransactionReceipt({ hash });
const sent = await reader.getTransaction({ hash });
const read = (functionName, args = []) => reader.readContract({ ...vault, account, functionName, args });
const log = await heard;

// ethers insists that a node answers with the hash that it computed itself.
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
const signer = new Wallet(key, provider);
const contract = new Contract(vault.address, artifact.abi, signer);
const other = hexlify(toUtf8Bytes("what ethers hides from everybody"));
const stored = await (await contract.store(other)).wait();
console.log(
  JSON.stringify({
    vault: vault.address,
    status: receipt.status,
    sameHash: receipt.transactionHash === hash && sent.hash === hash && log.transactionHash === hash,
    chainHash: receipt.chainHash,
    inputInPlain: sent.input.includes(secret.slice(2)),
    whoAmI: (await read("whoAmI")) === account.address,
    reason: await failure(() => read("failWithReason")),
    ethers: {
      status: stored.status,
      revealed: (await contract.reveal()) === other,
      custom: await failure(() => contract.failWithCustomError()),
    },
  }),
);
process.exit(0);
