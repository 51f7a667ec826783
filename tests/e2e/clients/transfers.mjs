// A transfer as ethers and viem make it: what they estimate, and what it takes.
// Arguments: URL of the gateway, key of an account.
import { JsonRpcProvider, Wallet } from "ethers";
import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, key] = process.argv.slice(2);
const to = "0x000000000000000000000000000000000000dEaD";

const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
const wallet = new Wallet(key, provider);
const estimate = await wallet.estimateGas({ to, value: 1n });
const sent = await (await wallet.sendTransaction({ to, value: 1n })).wait();
const ethers = { estimate: Number(estimate), status: sent.status, used: Number(sent.gasUsed) };
provider.destroy();

const chain = defineChain({
  id: 0x5afd, name: "qanat", rpcUrls: { default: { http: [url] } },
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 },
});
const account = privateKeyToAccount(key);
const reader = createPublicClient({ chain, transport: http(url) });
const hash = await createWalletClient({ account, chain, transport: http(url) }).sendTransaction({ to, value: 1n });
const receipt = await reader.waitForTransactionReceipt({ hash });
const viem = {
  estimate: Number(await reader.estimateGas({ account, to, value: 1n })),
  status: receipt.status === "success" ? 1 : 0,
  used: Number(receipt.gasUsed),
};
console.log(JSON.stringify({ ethers, viem }));
