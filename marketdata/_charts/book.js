// An order book by depth, one exchange's or that of several, and a comparison of exchanges.

class Drawing {
  constructor() {
    this.svg = shape("svg", { "aria-hidden": "true" });
    part("chart").append(this.svg);
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(part("chart"));
  }

  get width() {
    return part("chart").clientWidth;
  }

  get height() {
    return part("chart").clientHeight;
  }

  /** Prices that make good labels, about so many. */
  steps(low, high, count) {
    const rough = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
    const found = [];
    for (let index = Math.ceil(low / step); index * step <= high; index += 1) found.push(index * step);
    return { found, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  remove() {
    this.sizes.disconnect();
    this.svg.remove();
  }
}

class DepthChart extends Drawing {
  constructor(record) {
    super();
    this.isLog = false;
    this.zoom = 1;
    this.update(record);
    this.svg.addEventListener("pointermove", (event) => {
      this.at = this.nearest(event.clientX - this.svg.getBoundingClientRect().left);
      this.cross();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.at = null;
      this.cross();
    });
  }

  update(record) {
    this.record = record;
    this.names = (record.sources || []).filter((one) => !one.code && !one.stale).map((one) => one.name);
    this.sides = ["bids", "asks"].map((side) => this.cumulative(record[side]));
    this.levels = [...[...this.sides[0]].reverse(), ...this.sides[1]];
    this.decimals = decimalsFor(this.levels.map((level) => level.price));
    this.drawnCount = this.levels.length;
    this.at = null;
    this.paint();
  }

  /** Levels from the best on, with what there is up to each, by source too. */
  cumulative(levels) {
    let total = 0;
    const by = new Map(this.names.map((name) => [name, 0]));
    return levels.map(([price, size, sources]) => {
      total += Number(size);
      for (const [name, part] of sources || []) by.set(name, (by.get(name) || 0) + Number(part));
      return { price: Number(price), size: Number(size), total, by: new Map(by), sources };
    });
  }

  /** The prices in view: all of them, or nearer to the middle. */
  range() {
    const prices = this.levels.map((level) => level.price);
    const [low, high] = [Math.min(...prices), Math.max(...prices)];
    const best = this.sides.map((side) => side[0] && side[0].price).filter((price) => price !== undefined);
    const middle = best.reduce((sum, price) => sum + price, 0) / best.length;
    const width = high - low || Math.abs(middle) * 0.001 || 1;
    return [
      middle - Math.max(middle - low, width * 0.01) / this.zoom,
      middle + Math.max(high - middle, width * 0.01) / this.zoom,
    ];
  }

  paint() {
    if (!this.record || !this.levels.length || !this.width) return;
    const [low, high] = this.range();
    const [right, bottom] = [this.width - 62, this.height - 22];
    const seen = this.levels.filter((level) => level.price >= low && level.price <= high);
    const most = Math.max(...seen.map((level) => level.total)) || 1;
    const least = Math.min(...this.levels.map((level) => level.total).filter((total) => total > 0)) || 1;
    this.x = (price) => ((price - low) / (high - low)) * right;
    this.y = (total) => {
      const share = this.isLog
        ? Math.log10(Math.max(total, least) / (least * 0.7)) / Math.log10(most / (least * 0.7))
        : total / most;
      return bottom - share * (bottom - 14);
    };
    this.most = most;
    this.bottom = bottom;
    this.svg.replaceChildren();
    this.grid(low, high, right, bottom, most, least);
    for (const [index, name] of ["up", "down"].entries()) this.side(this.sides[index], colour(name), right);
    this.mark = shape("g", {});
    this.svg.append(this.mark);
    this.cross();
  }

  grid(low, high, right, bottom, most, least) {
    const prices = this.steps(low, high, right / 110);
    for (const price of prices.found) {
      const x = this.x(price);
      this.svg.append(
        shape("line", { class: "axis", x1: x, x2: x, y1: 0, y2: bottom, opacity: 0.5 }),
        shape("text", { x, y: bottom + 15, "text-anchor": x < 30 ? "start" : "middle" }, said(price, prices.decimals)),
      );
    }
    const totals = this.isLog
      ? [most, ...Array.from({ length: 12 }, (_, index) => 10 ** (Math.floor(Math.log10(most)) - index))]
          .filter((total) => total >= least)
      : this.steps(0, most, 5).found;
    for (const total of totals) {
      const y = this.y(total);
      this.svg.append(
        shape("line", { class: "axis", x1: 0, x2: right, y1: y, y2: y, opacity: 0.5 }),
        shape("text", { x: right + 6, y: y + 4 }, saidShort(total)),
      );
    }
  }

  /** One side as steps: the sum stays until the next level's price. */
  side(levels, mine, right) {
    if (!levels.length) return;
    const edge = levels[levels.length - 1].price < levels[0].price ? 0 : right;
    const outline = (height) => {
      let path = `M${this.x(levels[0].price)},${this.bottom}`;
      levels.forEach((level, index) => {
        const next = levels[index + 1];
        const until = next ? this.x(next.price) : levels.length === 1 ? this.x(level.price) : edge;
        path += `V${this.y(height(level))}H${until}`;
      });
      return path;
    };
    if (this.names.length > 1) {
      // The last name's area is the whole; each before it covers its part. What shines through is
      // the grid alone, as all of them have their opacity together.
      const areas = shape("g", { opacity: 0.55 });
      for (let count = this.names.length; count > 0; count -= 1) {
        const names = this.names.slice(0, count);
        const height = (level) => names.reduce((sum, name) => sum + level.by.get(name), 0);
        const fill = seriesColour(count - 1);
        areas.append(shape("path", { d: `${outline(height)}V${this.bottom}Z`, fill }));
      }
      this.svg.append(areas);
    } else {
      const path = `${outline((level) => level.total)}V${this.bottom}Z`;
      this.svg.append(shape("path", { d: path, fill: mine, opacity: 0.22 }));
    }
    this.svg.append(
      shape("path", { d: outline((level) => level.total), fill: "none", stroke: mine, "stroke-width": 1.5 }),
    );
  }

  nearest(x) {
    if (!this.levels.length) return null;
    let best = 0;
    this.levels.forEach((level, index) => {
      if (Math.abs(this.x(level.price) - x) < Math.abs(this.x(this.levels[best].price) - x)) best = index;
    });
    return best;
  }

  cross() {
    if (!this.mark) return;
    this.mark.replaceChildren();
    const level = this.levels[this.at];
    if (level) {
      const [x, y] = [this.x(level.price), this.y(level.total)];
      this.mark.append(
        shape("line", { class: "cross", x1: x, x2: x, y1: 0, y2: this.bottom }),
        shape("circle", { cx: x, cy: y, r: 3.5, fill: colour("ink") }),
      );
    }
    this.tell(level);
  }

  tell(level) {
    const [bid, ask] = this.sides.map((side) => side[0]);
    const price = (value) => said(value, this.decimals);
    if (level) {
      const side = this.at < this.sides[0].length ? "Bid" : "Ask";
      showValues([
        [side, price(level.price), "", "price"],
        ["Size", saidSize(level.size), "", "size"],
        ["Up to here", saidSize(level.total), "", "total"],
        ...this.names.filter(() => this.names.length > 1).map((name, index) => [
          name, saidSize(level.by.get(name)), seriesColour(index), name,
        ]),
      ]);
      return;
    }
    const spread = bid && ask ? ask.price - bid.price : null;
    const points = spread === null ? null : (10000 * spread) / ((ask.price + bid.price) / 2);
    showValues([
      ["Best bid", bid ? price(bid.price) : "none", "", "bid"],
      ["Best ask", ask ? price(ask.price) : "none", "", "ask"],
      ...(spread === null ? [] : [["Spread", `${price(spread)} (${said(points, 2)} bps)`, "", "spread"]]),
      ...this.names.filter(() => this.names.length > 1).map((name, index) => ["", name, seriesColour(index), name]),
    ]);
  }

  toggleLog() {
    this.isLog = !this.isLog;
    this.paint();
    return this.isLog;
  }

  fit() {
    this.zoom = 1;
    this.paint();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const last = this.levels.length - 1;
    const middle = this.sides[0].length;
    if (step) {
      const from = this.at === null ? middle - (step > 0 ? 1 : 0) : this.at;
      this.at = Math.max(0, Math.min(last, from + step));
    } else if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = last;
    else if (event.key === "+" || event.key === "=") this.zoom *= 1.5;
    else if (event.key === "-") this.zoom = Math.max(1, this.zoom / 1.5);
    else if (event.key === "Escape") this.at = null;
    else return false;
    this.paint();
    speakValues();
    return true;
  }

  table() {
    const rows = ["bids", "asks"].flatMap((side, index) =>
      this.sides[index].map((level) => [
        index ? "Ask" : "Bid", said(level.price, this.decimals), saidSize(level.size), saidSize(level.total),
        ...(this.names.length > 1 ? [(level.sources || []).map(([name, size]) => `${name} ${saidSize(Number(size))}`).join(", ")] : []),
      ]),
    );
    const names = ["Side", "Price", "Size", "Up to here", ...(this.names.length > 1 ? ["Of"] : [])];
    fillTable("Levels, the best of each side first.", names, rows);
  }
}

/** Each exchange's bid and ask on one scale of prices. */
class ComparisonChart extends Drawing {
  constructor(record) {
    super();
    this.update(record);
  }

  update(record) {
    this.record = record;
    this.at = null;
    const prices = record.rows.flatMap((row) => [row.bid, row.ask, row.last]).map(numeric);
    this.prices = prices.filter((price) => price !== null);
    this.decimals = decimalsFor(this.prices);
    this.drawnCount = record.rows.length;
    part("behind").open = true;
    this.paint();
  }

  paint() {
    if (!this.record || !this.width) return;
    const rows = this.record.rows;
    const mixed = new Set(rows.map((row) => row.pair)).size > 1;
    const name = (row) => (mixed ? `${row.exchange} ${row.pair}` : row.exchange);
    const left = Math.min(160, 24 + 7 * Math.max(...rows.map((row) => name(row).length)));
    const low = Math.min(...this.prices);
    const high = Math.max(...this.prices);
    const spare = (high - low || Math.abs(high) * 1e-4 || 1) * 0.08;
    const [right, bottom] = [this.width - 14, this.height - 22];
    const x = (price) => left + ((price - low + spare) / (high - low + 2 * spare)) * (right - left);
    this.svg.replaceChildren();
    if (this.prices.length) {
      const steps = this.steps(low - spare, high + spare, (right - left) / 110);
      for (const price of steps.found) {
        this.svg.append(
          shape("line", { class: "axis", x1: x(price), x2: x(price), y1: 0, y2: bottom, opacity: 0.5 }),
          shape("text", { x: x(price), y: bottom + 15, "text-anchor": "middle" }, said(price, steps.decimals)),
        );
      }
      for (const [best, mine] of [[this.record.bestBid, "up"], [this.record.bestAsk, "down"]]) {
        if (!best) continue;
        const at = x(Number(best.price));
        this.svg.append(shape("line", { x1: at, x2: at, y1: 0, y2: bottom, stroke: colour(mine), "stroke-dasharray": "4 3" }));
      }
    }
    const each = bottom / Math.max(1, rows.length);
    rows.forEach((row, index) => {
      const y = each * (index + 0.5);
      const kind = index === this.at ? "strong" : "";
      this.svg.append(shape("text", { x: 0, y: y + 4, class: kind }, name(row)));
      if (row.code) {
        this.svg.append(shape("text", { x: left, y: y + 4 }, spoken(row.code.toLowerCase())));
        return;
      }
      const [bid, ask, last] = [row.bid, row.ask, row.last].map(numeric);
      if (bid !== null && ask !== null) {
        this.svg.append(shape("line", { x1: x(bid), x2: x(ask), y1: y, y2: y, stroke: colour("faint"), "stroke-width": 3 }));
      }
      if (last !== null) {
        this.svg.append(shape("rect", { x: x(last) - 1, y: y - 8, width: 2, height: 16, fill: colour("ink") }));
      }
      for (const [price, mine] of [[bid, "up"], [ask, "down"]]) {
        if (price === null) continue;
        this.svg.append(shape("circle", { cx: x(price), cy: y, r: 5, fill: colour(mine) }));
      }
    });
    this.tell(rows[this.at]);
  }

  tell(row) {
    const price = (value) => said(numeric(value), this.decimals);
    if (row) {
      showValues([
        ["", row.exchange, "", "exchange"],
        ...(row.code ? [["", `${row.code}: ${row.message || ""}`]] : [
          ["Bid", price(row.bid), "", "bid"], ["Ask", price(row.ask), "", "ask"],
          ["Last", price(row.last), "", "last"], ["Spread", `${said(numeric(row.spreadBps), 2)} bps`],
        ]),
      ]);
      return;
    }
    const best = (one) => (one ? `${price(one.price)} ${one.exchange}` : "none");
    const { bestBid, bestAsk, spreadBps, crossed } = this.record;
    showValues([
      ["Best bid", best(bestBid), colour("up"), "bid"],
      ["Best ask", best(bestAsk), colour("down"), "ask"],
      ...(spreadBps === undefined ? [] : [["Spread", `${said(numeric(spreadBps), 2)} bps`, "", "spread"]]),
      ...(crossed ? [["", "crossed", "", "crossed"]] : []),
    ]);
  }

  key(event) {
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    const last = this.record.rows.length - 1;
    if (step) this.at = this.at === null ? (step > 0 ? 0 : last) : Math.max(0, Math.min(last, this.at + step));
    else if (event.key === "Escape") this.at = null;
    else return false;
    this.paint();
    speakValues();
    return true;
  }

  table() {
    const price = (value) => said(numeric(value), this.decimals);
    fillTable(
      "What each exchange says.",
      ["Exchange", "Pair", "Bid", "Ask", "Last", "Spread, bps", "Volume 24 h", ""],
      this.record.rows.map((row) => [
        row.exchange, row.pair, price(row.bid), price(row.ask), price(row.last),
        said(numeric(row.spreadBps), 2), saidSize(numeric(row.baseVolume)),
        row.code ? `${row.code}: ${row.message || ""}` : "",
      ]),
    );
  }
}
