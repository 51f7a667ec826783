// A Hardhat 2 project on Qanat: QANAT_URL=… QANAT_KEY=… npx hardhat test --no-compile --network qanat
module.exports = {
  solidity: "0.8.24",
  networks: { qanat: { url: process.env.QANAT_URL, accounts: [process.env.QANAT_KEY], chainId: 0x5afd } },
  paths: { tests: "." },
};
