// Runs upstream's `contracts` suite as it stands; the compiler is the one of npm, so that nothing is downloaded at run time.
require("ts-node").register({
  transpileOnly: true,
  compilerOptions: { module: "commonjs", esModuleInterop: true, target: "es2020" },
});
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");
require("@oasisprotocol/sapphire-hardhat");
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");

const SOLC = "0.8.24";

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
  compilerPath: require.resolve("solc/soljson.js"),
  isSolcJs: true,
  version: SOLC,
  longVersion: SOLC,
}));

module.exports = {
  solidity: {
    version: SOLC,
    // Upstream says `(1 << 32) - 1`, which is 0 in JavaScript; two contracts fail when it is not.
    settings: { evmVersion: "paris", optimizer: { enabled: true, runs: 0 }, viaIR: true },
  },
  defaultNetwork: "measured",
  networks: {
    measured: {
      url: process.env.SUITE_URL ?? "http://127.0.0.1:8545",
      chainId: Number(process.env.SUITE_CHAIN_ID ?? 0x5afd),
      accounts: { mnemonic: "test test test test test test test test test test test junk", count: 10 },
    },
  },
  mocha: { timeout: 60_000, reporter: "json", reporterOptions: { output: process.env.SUITE_REPORT } },
};
