// Ocean's datatoken for Sapphire (ERC20Template4, as published): its file object is for providers of consumers who ordered.
// usage: node ocean.mjs RPC_URL PRIVATE_KEY FILE_OBJECT   -> one JSON object on standard output
import { readFileSync } from "node:fs";
import {
  Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, Signature, Wallet, ZeroAddress,
  getBytes, parseEther, solidityPackedKeccak256, toUtf8Bytes, toUtf8String,
} from "ethers";
import { wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";

const [url, key, fileObject] = process.argv.slice(2);
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
const phrase = Mnemonic.fromPhrase("test test test test test test test test test test test junk");
const account = (index) => HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${index}`);
const publisher = wrapEthersSigner(new Wallet(key, provider));
const consumer = wrapEthersSigner(new Wallet(account(5).privateKey, provider));
const service = new Wallet(account(6).privateKey);
const inputs = [];

const artifact = (path) => {
  const name = path.split("/").at(-1);
  const file = `node_modules/@oceanprotocol/contracts/artifacts/contracts/${path}.sol/${name}.json`;
  return JSON.parse(readFileSync(file, "utf8"));
};
const deploy = async (path, ...parameters) => {
  const { abi, bytecode } = artifact(path);
  const made = await new ContractFactory(abi, bytecode, publisher).deploy(...parameters);
  await made.waitForDeployment();
  return made;
};
const mined = async (sent) => {
  const receipt = await (await sent).wait();
  inputs.push((await provider.getTransaction(receipt.hash)).data);
  return receipt;
};
const address = async (receipt, contract, event) => {
  const found = receipt.logs.map((log) => contract.interface.parseLog(log)).find((log) => log?.name === event);
  return found.args[0];
};
const failure = async (call) => {
  try {
    await call();
    return "no failure";
  } catch (error) {
    return error.reason;
  }
};

const nobody = "0x000000000000000000000000000000000000dEaD";
const lists = await deploy("accesslists/AccessListFactory", await deploy("accesslists/AccessList"));
const router = await deploy("pools/FactoryRouter", publisher.address, nobody, nobody, nobody, []);
const template = await deploy("templates/ERC20Template4");
const factory = await deploy("ERC721Factory", await deploy("templates/ERC721Template"), template, router);
await mined(router.addFactory(factory));

const made = await mined(
  factory.deployERC721Contract("Data", "DATA", 1, ZeroAddress, ZeroAddress, "", true, publisher.address));
const nft = new Contract(await address(made, factory, "NFTCreated"), artifact("templates/ERC721Template").abi, publisher);
await mined(nft.addToCreateERC20List(publisher.address));
const created = await mined(nft.createERC20(
  1, ["Access", "ACC"], [publisher.address, publisher.address, publisher.address, ZeroAddress, await lists.getAddress()],
  [parseEther("100"), 0], [toUtf8Bytes("{}")]));
const token = new Contract(await address(created, nft, "TokenCreated"), template.interface, publisher);
await mined(token.setFilesObject(toUtf8Bytes(fileObject)));
await mined(token.mint(consumer.address, parseEther("1")));

const id = 1;
const asked = new Uint8Array([id]);
const byConsumer = await consumer.signMessage(getBytes(solidityPackedKeccak256(["bytes"], [asked])));
const byService = await service.signMessage(
  getBytes(solidityPackedKeccak256(["uint256", "bytes"], [id, byConsumer])));
const read = (signature = byService) =>
  token.getFilesObject(id, service.address, signature, asked, byConsumer, consumer.address);
const withoutOrder = await failure(() => read());

const terms = solidityPackedKeccak256(
  ["bytes", "address", "address", "uint256", "uint256"], ["0x", service.address, ZeroAddress, 0, 0]);
const { v, r, s } = Signature.from(await service.signMessage(getBytes(terms)));
const fee = {
  providerFeeAddress: service.address, providerFeeToken: ZeroAddress, providerFeeAmount: 0, v, r, s,
  validUntil: 0, providerData: "0x",
};
const market = { consumeMarketFeeAddress: ZeroAddress, consumeMarketFeeToken: ZeroAddress, consumeMarketFeeAmount: 0 };
await mined(token.connect(consumer).startOrder(consumer.address, id, fee, market));

console.log(JSON.stringify({
  withoutOrder,
  ordered: toUtf8String(await read()),
  forged: await failure(() => read(byConsumer)),
  fileObjectInInputs: inputs.some((input) => input.includes(Buffer.from(fileObject).toString("hex"))),
  inputs: inputs.length,
}));
provider.destroy();
