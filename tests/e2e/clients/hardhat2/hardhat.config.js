// A project as Sapphire's own template makes it. The compiler is the one of npm, so that nothing is downloaded at run time.
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");
require("@openzeppelin/hardhat-upgrades");
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
  solidity: { version: SOLC, settings: { optimizer: { enabled: true, runs: 200 } } },
  defaultNetwork: "qanat",
  networks: {
    qanat: {
      url: process.env.QANAT_URL ?? "http://127.0.0.1:8545",
      chainId: 0x5afd,
      accounts: { mnemonic: "test test test test test test test test test test test junk", initialIndex: 4, count: 4 },
    },
  },
  mocha: { timeout: 60_000 },
};
