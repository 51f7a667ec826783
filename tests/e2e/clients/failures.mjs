// Which errors ethers and viem raise of what is refused: node failures.mjs URL PRIVATE_KEY of an account that has sent
import { FetchRequest, JsonRpcProvider, Wallet } from "ethers";
import { createWalletClient, defineChain, http } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
const [url, key] = process.argv.slice(-2);
const headers = { "x-qanat-profile": "dev" };
const to = "0x000000000000000000000000000000000000dEaD";
const poor = generatePrivateKey(), gas = 50_000n, gasPrice = 100_000_000_000n;
const request = new FetchRequest(url);
request.setHeader("x-qanat-profile", "dev");
const provider = new JsonRpcProvider(request, undefined, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 50 });
const codeOf = (promise) => promise.then(() => "none", (error) => error.code);
const ofEthers = async (secret, changes) =>
  codeOf(new Wallet(secret, provider).sendTransaction({ to, value: 1n, type: 0, gasPrice, ...changes }));
const chain = defineChain({ id: 0x5afd, name: "qanat", rpcUrls: { default: { http: [url] } },
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 } });
const transport = http(url, { fetchOptions: { headers } });
const nameOf = (promise) => promise.then(() => "none", (error) => error.cause?.name ?? error.name);
const ofViem = (secret, changes) => {
  const account = privateKeyToAccount(secret);
  return nameOf(createWalletClient({ account, chain, transport }).sendTransaction({ to, value: 1n, gasPrice, ...changes }));
};
const seen = {
  ethers: [await ofEthers(poor, {}), await ofEthers(poor, { gasLimit: gas }), await ofEthers(key, { gasLimit: gas, nonce: 0 })],
  viem: [await ofViem(poor, {}), await ofViem(poor, { gas, nonce: 0 }), await ofViem(key, { gas, nonce: 0 }), await ofViem(key, { gas: 20_000n }),
    await ofViem(key, { gas, gasPrice: 1n })],
};
console.log(JSON.stringify(seen));
provider.destroy();
