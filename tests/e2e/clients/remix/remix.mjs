// Remix without its window: its own compiler settings, transaction runner, listener and debugger at an external HTTP
// provider, with unlocked accounts.
// usage: node remix.mjs RPC_URL FROM   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { JsonRpcProvider } from "ethers";

const require = createRequire(import.meta.url);
const { EventManager, Registry, execution } = require("@remix-project/remix-lib");
const remixDebug = require("remix-debug");
const debugLib = require("remix-lib");
const solc = require("solc"); // 0.6: the debugger reads a form of syntax trees that later ones do not write

const [url, from] = process.argv.slice(2);
const FILE = "Purse.sol";
const AMOUNT = 21;

// -- compile ---------------------------------------------------------------------------------------------------------
const sources = { [FILE]: { content: readFileSync(new URL(FILE, import.meta.url), "utf8") } };
const outputs = ["abi", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"];
const settings = { outputSelection: { "*": { "": ["legacyAST", "ast"], "*": outputs } } };
const data = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
const compiled = data.contracts[FILE].Purse;
const functionOf = (name) => compiled.abi.find((one) => one.name === name);

// -- run: the panel "Deploy & run transactions" ------------------------------------------------------------------------
Registry.getInstance().put({
  name: "config",
  api: { getUnpersistedProperty: () => false, get: () => false },
});
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50, batchMaxCount: 1 });
const context = {
  event: new EventManager(),
  web3: () => provider,
  isVM: () => false,
  getProvider: () => "basic-http-provider",
};
const detectNetwork = async () => {
  const { chainId } = await provider.getNetwork();
  return { id: String(chainId), name: "Custom", lastBlock: await provider.getBlock("latest") };
};
const answers = {
  "blockchain.getProvider": context.getProvider,
  "blockchain.getWeb3": () => provider,
  "blockchain.isVM": context.isVM,
  "network.detectNetwork": detectNetwork,
};
const runner = new execution.TxRunnerWeb3({
  call: async (plugin, method, ...rest) => answers[`${plugin}.${method}`](...rest),
  emit: () => {},
});
const run = (request) => runner.execute({ from, value: "0x0", gasLimit: "0x0", useCall: false, ...request });
const calldata = (name, parameters) =>
  execution.txHelper.encodeFunctionId(functionOf(name)) +
  execution.txHelper.encodeParams(functionOf(name), parameters).replace("0x", "");

const constructor = execution.txHelper.encodeParams(execution.txHelper.getConstructorInterface(compiled.abi), ["savings"]);
const made = await run({ data: `0x${compiled.evm.bytecode.object}${constructor.replace("0x", "")}` });
const purse = made.receipt.contractAddress;
const kept = await run({ to: purse, data: calldata("keep", [AMOUNT]) });
const looked = await run({ to: purse, data: calldata("look", []), useCall: true });

// -- listen: the terminal, which decodes calls and events ------------------------------------------------------------
const udapp = new EventManager();
const resolveReceipt = (transaction, done) =>
  provider.getTransactionReceipt(transaction.hash).then((receipt) => done(null, receipt), done);
const listener = new execution.txListener({ api: { contracts: () => data.contracts, resolveReceipt }, event: { udapp } }, context);
listener.startListening();
const resolved = new Promise((resolve) => listener.event.register("txResolved", (...seen) => resolve(seen)));
udapp.trigger("transactionExecuted", [null, from, purse, kept.tx.data, false, { ...kept, transactionHash: kept.tx.hash }]);
const [transaction, , told] = await resolved;
const decoder = new execution.EventsDecoder({ resolveReceipt });
const events = await new Promise((resolve, reject) =>
  decoder.parseLogs(transaction, told.contractName, data.contracts, (error, logs) => (error ? reject(error) : resolve(logs))),
);

// -- debug: the panel "Debugger" --------------------------------------------------------------------------------------
/** What the debugger shows where a transaction first reaches a line of the source. */
async function stopAt(hash, row) {
  const web3 = debugLib.init.loadWeb3(url);
  const compilation = { data, source: { sources } };
  const ethDebugger = new remixDebug.EthDebugger({ web3, compilationResult: () => compilation });
  const lines = new debugLib.OffsetToColumnConverter();
  const located = ({ start, length, file }) =>
    lines.offsetToLineColumn({ start, length, file }, file, sources, data.sources);
  const ready = new Promise((resolve) => ethDebugger.callTree.event.register("callTreeReady", resolve));
  ethDebugger.debug(await web3.eth.getTransaction(hash));
  await ready;
  const step = await new Promise((resolve, reject) => {
    const breakpoints = new remixDebug.BreakpointManager(ethDebugger, async (place) => located(place), resolve);
    breakpoints.event.register("NoBreakpointHit", () => reject(new Error(`line ${row + 1} is not reached`)));
    breakpoints.add({ fileName: FILE, row });
    breakpoints.jumpNextBreakpoint(0, false);
  });
  const asked = (ask) =>
    new Promise((resolve, reject) => ask((error, found) => (error ? reject(new Error(String(error))) : resolve(found))));
  const { to } = await web3.eth.getTransaction(hash);
  const place = await asked((done) => ethDebugger.sourceLocationFromVMTraceIndex(to, step, done));
  const locals = await asked((done) => ethDebugger.decodeLocalsAt(step, place, done));
  const variables = await asked((done) => ethDebugger.extractStateAt(step, done));
  const state = await asked((done) => ethDebugger.decodeStateAt(step, variables, done));
  const storage = await asked((done) => ethDebugger.storageViewAt(step, to).storageRange(done));
  return { row: located(place).start.line, steps: ethDebugger.traceManager.trace.length, locals, state, slots: Object.values(storage).length };
}

const rowOf = (text) => sources[FILE].content.split("\n").findIndex((line) => line.includes(text));
const rows = { inside: rowOf("return result"), after: rowOf("emit Kept") };
const inside = await stopAt(kept.tx.hash, rows.inside);
const after = await stopAt(kept.tx.hash, rows.after);

console.log(
  JSON.stringify({
    purse,
    block: `0x${kept.receipt.blockNumber.toString(16)}`,
    rows,
    statuses: [made.receipt.status, kept.receipt.status],
    looked: execution.txFormat.decodeResponse(looked.result, functionOf("look")),
    told: [told.contractName, told.function?.fn, told.function?.params],
    events: events.decoded.map(({ event, args }) => [event, String(args[1])]),
    inside,
    after,
  }, (_, value) => (typeof value === "bigint" ? String(value) : value)),
);
process.exit(0);
