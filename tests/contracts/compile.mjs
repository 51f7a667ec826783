// Compile every contract of src/ into artifacts/NAME.json: ABI and bytecode, the same bytes each time.
// Another folder that has a src/ may be named: compile.mjs [FOLDER].
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");
const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? here);

const names = readdirSync(join(folder, "src")).filter((name) => name.endsWith(".sol")).sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    names.map((name) => [`src/${name}`, { content: readFileSync(join(folder, "src", name), "utf8") }]),
  ),
  settings: {
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    // No metadata hash: the bytecode depends on the code alone.
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};

// Of a package, or of another app: apps/NAME/contracts/src/FILE.sol.
const findImport = (path) => {
  const root = path.startsWith("apps/") ? resolve(here, "../..") : join(here, "node_modules");
  try {
    return { contents: readFileSync(join(root, path), "utf8") };
  } catch (error) {
    return { error: String(error) };
  }
};

const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const faults = (output.errors ?? []).filter((one) => one.severity === "error");
for (const fault of faults) console.error(fault.formattedMessage);
if (faults.length > 0) process.exit(1);

const target = join(folder, "artifacts");
rmSync(target, { recursive: true, force: true });
mkdirSync(target);
for (const source of names.map((name) => `src/${name}`)) {
  for (const [name, contract] of Object.entries(output.contracts[source] ?? {})) {
    const bytecode = contract.evm.bytecode.object;
    if (bytecode === "") continue; // Interfaces and abstract contracts.
    const artifact = { contractName: name, sourceName: source, abi: contract.abi, bytecode: `0x${bytecode}` };
    writeFileSync(join(target, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
    console.log(`${name}: ${bytecode.length / 2} bytes`);
  }
}
