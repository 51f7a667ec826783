// A Hardhat 3 project; the compiler is the one of npm, so that nothing is downloaded at run time.
import { fileURLToPath } from "node:url";
import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatEthersChaiMatchers from "@nomicfoundation/hardhat-ethers-chai-matchers";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatEthers, hardhatEthersChaiMatchers, hardhatMocha, hardhatNetworkHelpers, hardhatViem],
  solidity: {
    version: "0.8.24",
    path: fileURLToPath(import.meta.resolve("solc/soljson.js")),
    settings: { evmVersion: "cancun" },
  },
  networks: {
    qanat: {
      type: "http",
      url: process.env.QANAT_URL ?? "http://127.0.0.1:8545",
      chainId: 0x5afd,
      accounts: { mnemonic: "test test test test test test test test test test test junk", initialIndex: 6, count: 2 },
    },
  },
  test: { mocha: { timeout: 60_000 } },
});
