// MetaMask without its window: its own controllers, put together as its extension does, every prompt approved.
// What a page sees of it is `provider`, of EIP-1193.
import { ApprovalController } from "@metamask/approval-controller";
import { createWalletMiddleware } from "@metamask/eth-json-rpc-middleware";
import { providerFromEngine } from "@metamask/eth-json-rpc-provider";
import { GasFeeController } from "@metamask/gas-fee-controller";
import { JsonRpcEngine } from "@metamask/json-rpc-engine";
import { AccountImportStrategy, KeyringController, SignTypedDataVersion } from "@metamask/keyring-controller";
import { Messenger } from "@metamask/messenger";
import { NetworkController, RpcEndpointType } from "@metamask/network-controller";
import { TransactionController } from "@metamask/transaction-controller";

const PAGE = "https://dapp.example";
const NO_SUCH_API = "http://127.0.0.1:9/networks/<chain_id>/fees"; // MetaMask's servers know no devnet's fees

/** A part's messenger, which may call the named actions, and hear the named events, of others. */
function messengerOf(root, namespace, actions = [], events = []) {
  const messenger = new Messenger({ namespace, parent: root });
  root.delegate({ actions, events, messenger });
  return messenger;
}

/** Open a wallet with one key, add the network at a URL to it as its window does, and choose it. */
export async function openWallet(url, key) {
  const root = new Messenger({ namespace: "Wallet" });
  const networks = new NetworkController({
    messenger: messengerOf(root, "NetworkController"),
    infuraProjectId: "none",
    getRpcServiceOptions: () => ({ fetch: globalThis.fetch.bind(globalThis), btoa: globalThis.btoa }),
    getBlockTrackerOptions: () => ({ pollingInterval: 200 }),
  });

  const keyrings = new KeyringController({ messenger: messengerOf(root, "KeyringController") });
  await keyrings.createNewVaultAndKeychain("a password");
  const address = await keyrings.importAccountWithStrategy(AccountImportStrategy.privateKey, [key]);
  const account = { address, id: "imported", type: "eip155:eoa", options: {}, methods: [], metadata: { name: "imported" } };
  const others = new Messenger({ namespace: "AccountsController", parent: root });
  others.registerActionHandler("AccountsController:getSelectedAccount", () => account);
  others.registerActionHandler("AccountsController:getState", () => ({
    internalAccounts: { accounts: { [account.id]: account }, selectedAccount: account.id },
  }));
  // How often a transaction is looked for is a flag of MetaMask's servers.
  const flags = new Messenger({ namespace: "RemoteFeatureFlagController", parent: root });
  const acceleratedPolling = { defaultCountMax: 100, defaultIntervalMs: 50 };
  flags.registerActionHandler("RemoteFeatureFlagController:getState", () => ({
    remoteFeatureFlags: { confirmations_transactions: { acceleratedPolling } },
    cacheTimestamp: 0,
  }));

  // What the window does when a network is added: it asks the endpoint for its chain.
  const asked = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
  });
  const chainId = (await asked.json()).result;
  const added = networks.addNetwork({
    chainId,
    name: "Qanat",
    nativeCurrency: "TEST",
    blockExplorerUrls: [],
    defaultRpcEndpointIndex: 0,
    rpcEndpoints: [{ type: RpcEndpointType.Custom, url }],
  });
  const { networkClientId } = added.rpcEndpoints[0];
  await networks.setActiveNetwork(networkClientId);
  await networks.lookupNetwork(networkClientId);

  const fees = new GasFeeController({
    messenger: messengerOf(
      root,
      "GasFeeController",
      [
        "NetworkController:getState",
        "NetworkController:getNetworkClientById",
        "NetworkController:getEIP1559Compatibility",
      ],
      ["NetworkController:networkDidChange"],
    ),
    getProvider: () => networks.getProviderAndBlockTracker().provider,
    getCurrentNetworkEIP1559Compatibility: () => networks.getEIP1559Compatibility(),
    getCurrentNetworkLegacyGasAPICompatibility: () => false,
    getCurrentAccountEIP1559Compatibility: () => true,
    EIP1559APIEndpoint: NO_SUCH_API,
    legacyAPIEndpoint: NO_SUCH_API,
    clientId: "extension",
  });
  const approvals = new ApprovalController({
    messenger: messengerOf(root, "ApprovalController"),
    showApprovalRequest: () => approvals.accept(Object.keys(approvals.state.pendingApprovals)[0], undefined, {}),
  });
  const transactions = new TransactionController({
    messenger: messengerOf(
      root,
      "TransactionController",
      [
        "AccountsController:getSelectedAccount",
        "AccountsController:getState",
        "ApprovalController:addRequest",
        "NetworkController:findNetworkClientIdByChainId",
        "NetworkController:getNetworkClientById",
        "RemoteFeatureFlagController:getState",
      ],
      ["NetworkController:stateChange"],
    ),
    getCurrentNetworkEIP1559Compatibility: () => networks.getEIP1559Compatibility(),
    getGasFeeEstimates: (options) => fees.fetchGasFeeEstimates(options),
    getNetworkClientRegistry: () => networks.getNetworkClientRegistry(),
    getNetworkState: () => networks.state,
    getPermittedAccounts: async () => [address],
    incomingTransactions: { isEnabled: () => false },
    isSimulationEnabled: () => false, // asks MetaMask's servers
    sign: (transaction, from) => keyrings.signTransaction(transaction, from),
    hooks: {},
  });

  const engine = new JsonRpcEngine();
  engine.push(
    createWalletMiddleware({
      getAccounts: async () => [address],
      processTransaction: async (parameters) => {
        const options = { networkClientId, origin: PAGE, requireApproval: true };
        return (await transactions.addTransaction(parameters, options)).result;
      },
      processPersonalMessage: (message) => keyrings.signPersonalMessage(message),
      processTypedMessageV4: (message) => keyrings.signTypedMessage(message, SignTypedDataVersion.V4),
    }),
  );
  engine.push((request, response, _next, end) => {
    networks
      .getNetworkClientById(networkClientId)
      .provider.request(request)
      .then((result) => {
        response.result = result;
        end();
      }, end);
  });

  /** Wait until MetaMask says what became of a transaction; its record of it. */
  const untilDone = (hash) =>
    new Promise((resolve) => {
      const look = () => {
        const found = transactions.state.transactions.find((one) => one.hash === hash);
        if (["confirmed", "failed", "dropped"].includes(found?.status)) resolve(found);
        return found;
      };
      root.subscribe("TransactionController:stateChange", look);
      look();
    });

  return {
    address,
    chainId,
    provider: providerFromEngine(engine),
    is1559: () => networks.getEIP1559Compatibility(networkClientId),
    estimateFees: () => fees.fetchGasFeeEstimates({ networkClientId }),
    untilDone,
  };
}
