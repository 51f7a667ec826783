// Balances of one token, from its events, over WebSocket.
import { createConfig } from "ponder";
import { tokenAbi } from "./abi";

export default createConfig({
  chains: { qanat: { id: 0x5afd, rpc: process.env.QANAT_URL, ws: process.env.QANAT_WS, pollingInterval: 200 } },
  contracts: {
    Token: {
      abi: tokenAbi,
      chain: "qanat",
      address: process.env.TOKEN as `0x${string}`,
      startBlock: Number(process.env.START),
    },
  },
});
