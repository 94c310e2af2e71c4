// What is shown, and by whom it is fed: the page's own data, a notebook, a host of MCP Apps.

let shown = null;
let drawnFor = null;

const COLUMNS = ["time", "open", "high", "low", "close", "volume", "trades"];

/** Rows of a tool's candles as the library has them; lines where there are no whole candles. */
function completed(record) {
  const { columns, candles, ...rest } = record;
  if (!columns || !candles) return record;
  const places = COLUMNS.map((name) => columns.indexOf(name));
  const rows = candles.map((row) => places.map((place) => (place < 0 ? null : row[place])));
  const [time, , , , close] = places;
  if (places.slice(0, 5).every((place) => place >= 0)) return { ...rest, candles: rows };
  const points = time < 0 || close < 0 ? [] : rows.map((row) => [row[0], Number(row[4])]);
  return { ...rest, points };
}

/** The records in a tool's or the library's JSON: one, several, or those of a watch. */
function recordsIn(content) {
  if (Array.isArray(content)) return content;
  if (!content || !Array.isArray(content.subjects)) return content ? [completed(content)] : [];
  const { kind, exchange, timeframe, simulated } = content;
  return content.subjects.map((subject) => {
    const named = { pair: subject.pair, exchange, simulated };
    const data = subject[kind] || [];
    if (kind === "candles") return { ...named, timeframe, candles: data };
    if (kind === "orderbook") return { ...named, bids: data.bids || [], asks: data.asks || [] };
    const points = kind === "trades"
      ? data.map(([time, price]) => [Math.floor(time / 1000) * 1000, Number(price)])
      : [[Math.floor(Date.now() / 1000) * 1000, priceOf(data)]];
    return { ...named, points: points.filter(([, value]) => Number.isFinite(value)) };
  });
}

/** The price of a ticker or a quote: the last, or the middle. */
function priceOf(state) {
  if (state.last !== undefined) return Number(state.last);
  return (Number(state.bid) + Number(state.ask)) / 2;
}

const plural = (count, word) => `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;

/** Make the chart of records; each kind says of itself what stands in the head. */
function make(records) {
  const [first] = records;
  const simulated = records.some((record) => record.simulated);
  if (records.length > 1 && first.candles) {
    const full = records.filter((record) => record.candles.length);
    const exchanges = [...new Set(records.map((record) => record.exchange))].join(", ");
    const pairs = [...new Set(records.map((record) => record.pair))].join(", ");
    head(pairs, `${first.timeframe} on ${exchanges}`, simulated);
    if (!full.length) return null;
    const { from, lines } = rebased(full);
    note([from === undefined
      ? "Each line is 100 at its first candle: they have no time in common."
      : `Each line is 100 on ${saidTime(from, first.timeframe)} UTC.`]);
    labelled(`${pairs}, closing prices rebased to 100, ${first.timeframe}`);
    return new LineChart(lines, first.timeframe, 2);
  }
  if (first.candles) {
    head(first.pair, `${first.timeframe} on ${first.exchange}`, simulated);
    const gaps = first.missing || [];
    const texts = first.note ? [first.note] : [];
    if (first.resampledFrom) texts.push(`Resampled from ${first.resampledFrom} candles.`);
    if (first.delisted) texts.push("The pair has left the exchange: these are the candles stored.");
    if (gaps.length && first.candles.length) texts.push(`${plural(gaps.length, "gap")} in grey.`);
    note(texts);
    if (!first.candles.length) return null;
    const last = first.candles[first.candles.length - 1];
    const span = [first.candles[0][0], last[0]].map((time) => saidTime(time, first.timeframe));
    labelled(`${first.pair} on ${first.exchange}, ${plural(first.candles.length, "candle")} of ` +
      `${first.timeframe} from ${span[0]} to ${span[1]} UTC, last close ${last[4]}`);
    return new CandleChart(first);
  }
  if (first.points) {
    head(records.map((record) => record.pair).join(", "), `on ${first.exchange}`, simulated);
    const lines = records.filter((record) => record.points.length)
      .map((record) => ({ name: record.pair, points: new Map(record.points) }));
    if (!lines.length) return null;
    labelled(`Prices of ${lines.map((line) => line.name).join(", ")}`);
    const decimals = decimalsFor(lines.flatMap((line) => [...line.points.values()]));
    return new LineChart(lines, first.timeframe || "", decimals);
  }
  if (first.bids) {
    const several = (first.sources || []).filter((one) => !one.code);
    const failed = (first.sources || []).filter((one) => one.code);
    head(first.pair, `order book on ${several.length ? several.map((one) => one.name).join(", ") : first.exchange}`, simulated);
    note([
      ...failed.map((one) => `${one.name} is missing: ${one.code}.`),
      ...(first.crossed ? ["Crossed: somebody bids more than somebody asks."] : []),
      ...(first.note ? [first.note] : []),
    ]);
    if (!first.bids.length && !first.asks.length) return null;
    labelled(`${first.pair}, depth of ${plural(first.bids.length, "bid")} and ${plural(first.asks.length, "ask")}`);
    return new DepthChart(first);
  }
  if (first.rows) {
    head(first.pair, `on ${plural(first.rows.length, "exchange")}`, simulated);
    note([]);
    if (!first.rows.length) return null;
    labelled(`${first.pair}, bid and ask on ${plural(first.rows.length, "exchange")}`);
    return new ComparisonChart(first);
  }
  throw new Error("This page has no chart for such data.");
}

const subjectOf = (records) => JSON.stringify(
  records.map(({ pair, exchange, timeframe, candles, bids, rows, points }) =>
    [pair, exchange, timeframe, Boolean(candles), Boolean(bids), Boolean(rows), Boolean(points)]),
);

const NOTHING = { candles: "No candles", bids: "The book is empty", rows: "No exchange", points: "No prices to draw" };

/** Show records; news of what is shown already change it in place. */
function show(content) {
  if (content && content.ended) {
    note([`Live data ended: ${content.ended}`]);
    return;
  }
  const records = recordsIn(content);
  if (!records.length) return;
  const subject = subjectOf(records);
  if (shown && subject === drawnFor && records.length === 1 && (records[0].candles || records[0].bids)) {
    if (!records[0].candles || records[0].candles.length) shown.update(records[0]);
  } else if (shown && subject === drawnFor && records[0].points) {
    records.forEach((record, index) => {
      for (const [time, value] of record.points) shown.lines[index]?.points.set(time, value);
    });
    shown.fill();
  } else {
    if (shown) shown.remove();
    showEmpty(null);
    shown = make(records);
    drawnFor = subject;
  }
  if (!shown) {
    const kind = Object.keys(NOTHING).find((name) => records[0][name]);
    const gap = (records[0].missing || [])[0];
    const why = gap ? `: ${causeOf(gap)} from ${saidTime(Date.parse(gap.start), "1m")} to ${saidTime(Date.parse(gap.end), "1m")} UTC` : "";
    showEmpty(`${NOTHING[kind]}${why}.`);
    showValues([]);
  }
  part("log").hidden = !shown || !shown.toggleLog;
  part("fit").hidden = !shown || !shown.fit;
  part("behind").hidden = !shown;
  fillLater();
  requestAnimationFrame(() => setTimeout(tellDrawn));
}

/** Say for programs how much is drawn, and how long after the page's start that was. */
function tellDrawn() {
  const root = document.documentElement.dataset;
  root.drawn = shown ? shown.drawnCount : 0;
  root.milliseconds ??= Math.round(performance.now() - started);
}

let filling = null;
/** The table is made when there is time for it, and again where it is open and there are news. */
function fillLater() {
  if (!shown || filling) return;
  const wait = part("behind").open || !part("table").hasChildNodes() ? 200 : 2000;
  filling = setTimeout(() => {
    filling = null;
    if (shown) shown.table();
  }, wait);
}

function paint() {
  document.documentElement.dataset.theme = chosenTheme();
  if (shown) shown.paint();
}

part("log").addEventListener("click", () => {
  part("log").setAttribute("aria-pressed", String(shown.toggleLog()));
});
part("behind").addEventListener("toggle", () => {
  if (shown) shown.table();
});
part("fit").addEventListener("click", () => shown.fit());
part("chart").addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "l" || event.key === "L") part("log").click();
  else if (event.key === "0" && shown.fit) shown.fit();
  else if (!shown.key(event)) return;
  event.preventDefault();
});
preferred.addEventListener("change", paint);

const started = performance.now();
paint();
const own = JSON.parse(part("data").textContent);
if (own) show(own);
