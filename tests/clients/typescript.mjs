// Tries the TypeScript SDKs, and mcp-remote, with the server: make clients.
//
// Arguments: the folder with node_modules, the server's program, the URL of one that serves.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, program, url] = process.argv.slice(2);
const module = (path) => import(pathToFileURL(join(resolve(folder), "node_modules", path)));
const home = mkdtempSync(join(tmpdir(), "clients-"));
const env = { ...process.env, HOME: home, MARKETDATA_HOME: home };

const first = "@modelcontextprotocol/sdk/dist/esm/client/";
const { Client: FirstClient } = await module(`${first}index.js`);
const { StdioClientTransport: FirstStdio } = await module(`${first}stdio.js`);
const { StreamableHTTPClientTransport: FirstHttp } = await module(`${first}streamableHttp.js`);
const second = "@modelcontextprotocol/client/dist/";
const { Client: SecondClient, StreamableHTTPClientTransport: SecondHttp } = await module(
  `${second}index.mjs`,
);
const { StdioClientTransport: SecondStdio } = await module(`${second}stdio.mjs`);

const local = { command: program, args: ["--sim"], env };
const remote = {
  command: process.execPath,
  args: [join(resolve(folder), "node_modules/mcp-remote/dist/proxy.js"), url],
  env,
  stderr: "ignore",
};

const ways = [
  ["TypeScript SDK 1, stdio", FirstClient, () => new FirstStdio(local)],
  ["TypeScript SDK 1, http", FirstClient, () => new FirstHttp(new URL(url))],
  ["TypeScript SDK 2, stdio", SecondClient, () => new SecondStdio(local)],
  ["TypeScript SDK 2, http", SecondClient, () => new SecondHttp(new URL(url))],
  ["mcp-remote, http", FirstClient, () => new FirstStdio(remote)],
];

function expect(holds, what) {
  if (!holds) throw new Error(what);
}

async function used(Client, transport) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  try {
    const { tools } = await client.listTools();
    expect(tools.some((tool) => tool.name === "get_candles"), "get_candles is not listed");
    const call = (name, args) => client.callTool({ name, arguments: args });
    const ticker = await call("get_ticker", { pair: "BTC/USDT" });
    expect(ticker.structuredContent.last > 0, JSON.stringify(ticker));
    const candles = await call("get_candles", { pair: "BTC/USDT", limit: 3, start: null });
    expect(candles.structuredContent.candles.length === 3, JSON.stringify(candles));
    const refused = await call("get_ticker", { pair: "BTC/USTD" });
    const said = JSON.parse(refused.content[0].text);
    expect(refused.isError && said.code === "PAIR_NOT_SUPPORTED", JSON.stringify(refused));
    return `${tools.length} tools`;
  } finally {
    await client.close();
  }
}

let failed = 0;
for (const [name, Client, transport] of ways) {
  try {
    console.log(`ok    ${name}: ${await used(Client, transport())}`);
  } catch (error) {
    failed += 1;
    console.log(`WRONG ${name}: ${error}`);
  }
}
rmSync(home, { recursive: true });
console.log(`${ways.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
