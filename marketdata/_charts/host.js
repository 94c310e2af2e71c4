// How the page gets its data elsewhere: a notebook's widget sends news, and a host of MCP Apps
// speaks JSON-RPC (the extension io.modelcontextprotocol/ui, revision 2026-01-26).

const waiting = new Map();
let asked = 0;
let canCall = false;
let live = null;

function send(message) {
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

function request(method, params) {
  asked += 1;
  const id = asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    send({ id, method, params });
  });
}

function takeContext(context) {
  if (context && (context.theme === "dark" || context.theme === "light")) {
    given = context.theme;
    paint();
  }
}

function takeResult(result) {
  if (result.isError) {
    const text = (result.content || []).find((one) => one.type === "text");
    showEmpty(text ? text.text : "The tool failed.");
    return;
  }
  show(result.structuredContent);
  offerLive();
}

/** What a watch of the data shown would be; null where there is none. */
function watchable() {
  const [record, ...more] = recordsIn(lastResult);
  if (!record || more.length || record.sources || record.rows) return null;
  const named = { pair: record.pair, exchange: record.exchange };
  if (record.candles) return { kind: "candles", timeframe: record.timeframe, ...named };
  if (record.bids) return { kind: "orderbook", depth: Math.min(100, Math.max(record.bids.length, 1)), ...named };
  return null;
}

let lastResult = null;

function offerLive() {
  part("live").hidden = !canCall || watchable() === null;
}

async function call(name, args) {
  const result = await request("tools/call", { name, arguments: args });
  if (result.isError) throw new Error(((result.content || [])[0] || {}).text || name);
  return result.structuredContent;
}

/** Watch what is shown until the button is pressed again, through the host. */
async function goLive() {
  const mine = {};
  live = mine;
  part("live").setAttribute("aria-pressed", "true");
  try {
    const { watch } = await call("watch_start", watchable());
    mine.watch = watch;
    while (live === mine) {
      const news = await call("watch_read", { watch, wait: true, timeout: 25 });
      if (live === mine) show(news);
    }
  } catch (error) {
    note([`Live data ended: ${error.message}`]);
  } finally {
    if (live === mine) live = null;
    part("live").setAttribute("aria-pressed", String(live !== null));
    if (mine.watch) call("watch_stop", { watch: mine.watch }).catch(() => {});
  }
}

part("live").addEventListener("click", () => {
  if (live) {
    live = null;
    part("live").setAttribute("aria-pressed", "false");
  } else goLive();
});

const NOTIFIED = {
  "ui/notifications/tool-result": (params) => {
    lastResult = params.structuredContent;
    takeResult(params);
  },
  "ui/notifications/tool-cancelled": () => showEmpty("The call was cancelled."),
  "ui/notifications/host-context-changed": takeContext,
};

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || !event.data) return;
  const { jsonrpc, id, method, params, result, error, marketdata } = event.data;
  if (marketdata) show(marketdata);
  if (jsonrpc !== "2.0") return;
  if (method === undefined) {
    const one = waiting.get(id);
    waiting.delete(id);
    if (one && error) one.reject(new Error(error.message));
    else if (one) one.resolve(result);
  } else if (method === "ui/resource-teardown") {
    live = null;
    send({ id, result: {} });
  } else if (method === "ping") send({ id, result: {} });
  else if (NOTIFIED[method]) NOTIFIED[method](params || {});
  else if (id !== undefined) send({ id, error: { code: -32601, message: "Method not found" } });
});

/** Only a page without data of its own asks for a host. */
async function meetHost() {
  const met = await request("ui/initialize", {
    protocolVersion: "2026-01-26",
    appInfo: { name: "marketdata-chart", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  });
  const can = met.hostCapabilities || {};
  canCall = Boolean(can.serverTools);
  takeContext(met.hostContext);
  if (can.openLinks) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest && event.target.closest("a[href]");
      if (!link) return;
      event.preventDefault();
      request("ui/open-link", { url: link.href }).catch(() => {});
    });
  }
  send({ method: "ui/notifications/initialized" });
  const tell = () => send({
    method: "ui/notifications/size-changed",
    params: { width: document.documentElement.scrollWidth, height: Math.max(420, part("chart").parentElement.scrollHeight) },
  });
  new ResizeObserver(tell).observe(document.querySelector("main"));
  tell();
}

if (own === null && window.parent !== window) meetHost();
