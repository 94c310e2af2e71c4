// Candles with volume, and several pairs as lines, on the library's time axis.

const WIDEST_GAP = 40;
const DAY = 86400000;

/** The places on the time axis where a gap's candles would be: evenly, and not too many. */
function placesOf(gap) {
  const start = Date.parse(gap.start);
  const end = Date.parse(gap.end);
  const count = Math.max(1, Math.min(gap.bars || 1, WIDEST_GAP));
  const places = [];
  for (let index = 0; index < count; index += 1) {
    places.push(Math.floor((start + ((end - start) * index) / count) / 1000) * 1000);
  }
  return places;
}

const causeOf = (gap) => (gap.cause ? spoken(gap.cause) : "not looked into");

/** Bars by their open time, rows of a record's JSON in; later rows replace earlier ones. */
function barsOf(record) {
  const flags = new Map((record.quality || []).map((one) => [Date.parse(one.openTime), one.quality]));
  const made = (record.filled || []).map((one) => [Date.parse(one.start), Date.parse(one.end)]);
  const bars = new Map();
  record.candles.forEach(([time, ...values], index) => {
    const [open, high, low, close, volume, trades] = values.map(numeric);
    const isMade = made.some(([start, end]) => start <= time && time < end);
    const isOpen = record.forming === true && index === record.candles.length - 1;
    const mark = isMade ? "filled" : flags.get(time);
    bars.set(time, { time, open, high, low, close, volume, trades, isOpen, mark });
  });
  return bars;
}

/** Shades the gaps behind the candles, and names the cause where there is room. */
class Shading {
  constructor() {
    this.ranges = [];
    this.view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.draw(target) }) };
  }

  attached({ chart, requestUpdate }) {
    this.chart = chart;
    this.requestUpdate = requestUpdate;
  }

  paneViews() {
    return [this.view];
  }

  draw(target) {
    const scale = this.chart.timeScale();
    const half = scale.options().barSpacing / 2;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      context.font = '11px system-ui, "Segoe UI", "Open Sans", sans-serif';
      for (const { first, last, text } of this.ranges) {
        const left = scale.logicalToCoordinate(first) - half;
        const right = scale.logicalToCoordinate(last) + half;
        const width = Math.max(1, right - left);
        if (right < 0 || left > mediaSize.width) continue;
        context.fillStyle = colour("gap");
        context.fillRect(left, 0, width, mediaSize.height);
        if (!this.isNamed || width < 13) continue;
        context.save();
        context.fillStyle = colour("faint");
        context.translate(left + width / 2, 8);
        if (context.measureText(text).width + 10 < width) context.textAlign = "center";
        else context.rotate(Math.PI / 2);
        context.textBaseline = context.textAlign === "center" ? "top" : "middle";
        context.fillText(text, 0, 0);
        context.restore();
      }
    });
  }
}

/** What both kinds share: the library's chart, its theme, the scale, keys. */
class TimeChart {
  constructor(timeframe) {
    this.timeframe = timeframe;
    this.series = [];
    this.isLog = false;
    this.at = null;
    this.times = [];
    this.chart = LightweightCharts.createChart(part("chart"), {
      autoSize: true,
      timeScale: { borderVisible: false, minBarSpacing: 0.05, maxBarSpacing: 40 },
      rightPriceScale: { borderVisible: false },
      crosshair: { mode: 0 },
      localization: {
        locale: "en-US",
        timeFormatter: (time) => `${saidTime(time * 1000, this.timeframe)} UTC`,
      },
    });
    this.chart.subscribeCrosshairMove((event) => {
      // Without a pointer's event it was the keyboard, which knows its place, or the library.
      if (!event.sourceEvent || event.time === undefined) return;
      this.at = Math.round(event.logical);
      this.retell();
    });
    part("chart").addEventListener("pointerleave", () => this.leave());
  }

  leave() {
    this.at = null;
    this.chart.clearCrosshairPosition();
    this.tell(null);
  }

  /** Say the values under the crosshair, the newest without one. */
  retell() {
    const time = this.at === null ? undefined : this.times[this.at];
    this.tell(time === undefined ? null : time);
  }

  paint() {
    const length = this.timeframe || "1s";
    this.chart.applyOptions({
      layout: {
        background: { color: "transparent" },
        textColor: colour("faint"),
        fontFamily: 'system-ui, "Segoe UI", "Open Sans", sans-serif',
        fontSize: 11,
        attributionLogo: true,
        panes: { separatorColor: colour("line"), enableResize: true },
      },
      grid: { vertLines: { color: colour("grid") }, horzLines: { color: colour("grid") } },
      timeScale: {
        timeVisible: !/[dwMy]$/.test(length),
        secondsVisible: /s$/.test(length),
      },
    });
  }

  format(decimals, short) {
    const formatter = short ? saidShort : (value) => said(value, decimals);
    return { type: "custom", formatter, minMove: 10 ** -decimals, base: 10 ** decimals };
  }

  toggleLog() {
    this.isLog = !this.isLog;
    this.chart.priceScale("right").applyOptions({ mode: this.isLog ? 1 : 0 });
    return this.isLog;
  }

  fit() {
    this.chart.timeScale().fitContent();
  }

  /** Take a key; true where it was one of ours. */
  key(event) {
    const scale = this.chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    if (!range) return false;
    const length = range.to - range.from;
    const last = this.times.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && event.shiftKey) {
      const moved = (step * length) / 4;
      scale.setVisibleLogicalRange({ from: range.from + moved, to: range.to + moved });
    } else if (step) {
      const from = this.at === null ? Math.min(last, Math.ceil(range.to)) + (step < 0 ? 1 : 0) : this.at;
      this.point(Math.max(0, Math.min(last, from + step)));
    } else if (event.key === "Home") this.point(0);
    else if (event.key === "End") this.point(last);
    else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const change = event.key === "-" ? -0.25 : 0.2;
      const from = range.from + length * change;
      scale.setVisibleLogicalRange({ from, to: range.to - length * change });
    } else if (event.key === "Escape") this.leave();
    else return false;
    return true;
  }

  /** Put the crosshair on a place of the time axis, in view, and read it out. */
  point(index) {
    const scale = this.chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const length = range.to - range.from;
    if (index < range.from || index > range.to) {
      const from = index < range.from ? index - length * 0.1 : index - length * 0.9;
      scale.setVisibleLogicalRange({ from, to: from + length });
    }
    const time = this.times[index];
    this.at = index;
    this.chart.setCrosshairPosition(this.level(time), time / 1000, this.series[0]);
    this.tell(time);
    speakValues();
  }

  remove() {
    this.chart.remove();
  }
}

class CandleChart extends TimeChart {
  constructor(record) {
    super(record.timeframe);
    this.record = record;
    this.bars = barsOf(record);
    const { CandlestickSeries, HistogramSeries } = LightweightCharts;
    this.candles = this.chart.addSeries(CandlestickSeries, { priceLineStyle: 2 });
    this.volume = this.chart.addSeries(
      HistogramSeries,
      { priceFormat: this.format(2, true), lastValueVisible: false, priceLineVisible: false },
      1,
    );
    this.series = [this.candles, this.volume];
    this.chart.panes()[0].setStretchFactor(4);
    this.chart.panes()[1].setStretchFactor(1);
    this.shadings = this.series.map((series) => {
      const shading = new Shading();
      series.attachPrimitive(shading);
      return shading;
    });
    this.shadings[0].isNamed = true;
    this.paint();
    this.fill();
    this.fit();
  }

  paint() {
    super.paint();
    if (!this.candles) return;
    const [up, down] = [colour("up"), colour("down")];
    this.candles.applyOptions({
      upColor: up, downColor: down, wickUpColor: up, wickDownColor: down,
      borderUpColor: up, borderDownColor: down,
    });
    if (this.times.length) this.fill();
  }

  drawn(bar) {
    const mine = bar.close >= bar.open ? colour("up") : colour("down");
    const { open, high, low, close } = bar;
    const point = { time: bar.time / 1000, open, high, low, close };
    if (bar.isOpen) return { ...point, color: colour("paper"), borderColor: mine };
    if (bar.mark === "filled") {
      const faint = colour("faint");
      return { ...point, color: faint, borderColor: faint, wickColor: faint };
    }
    return point;
  }

  drawnVolume(bar) {
    const mine = bar.close >= bar.open ? colour("up") : colour("down");
    const time = bar.time / 1000;
    return bar.volume === null ? { time } : { time, value: bar.volume, color: `${mine}99` };
  }

  /** Hand everything to the library, gaps as places without a candle. */
  fill() {
    const gaps = new Map();
    for (const gap of this.record.missing || []) {
      for (const place of placesOf(gap)) if (!this.bars.has(place)) gaps.set(place, gap);
    }
    this.gaps = gaps;
    this.times = [...this.bars.keys(), ...gaps.keys()].sort((one, other) => one - other);
    const whole = [];
    const sizes = [];
    const ranges = [];
    this.times.forEach((time, index) => {
      const bar = this.bars.get(time);
      whole.push(bar ? this.drawn(bar) : { time: time / 1000 });
      sizes.push(bar ? this.drawnVolume(bar) : { time: time / 1000 });
      if (bar) return;
      const gap = gaps.get(time);
      const range = ranges[ranges.length - 1];
      if (range && range.gap === gap) range.last = index;
      else ranges.push({ gap, first: index, last: index, text: causeOf(gap) });
    });
    const bars = [...this.bars.values()];
    this.decimals = decimalsFor(bars.flatMap((bar) => [bar.open, bar.high, bar.low, bar.close]));
    this.candles.applyOptions({ priceFormat: this.format(this.decimals) });
    for (const shading of this.shadings) shading.ranges = ranges;
    this.candles.setData(whole);
    this.volume.setData(sizes);
    this.drawnCount = bars.length;
    this.retell();
  }

  /** Take news of the same candles: only the end may change. */
  update(record) {
    const last = Math.max(...this.bars.keys());
    const news = barsOf(record);
    const isLater = [...news.keys()].every((time) => time >= last);
    for (const [time, bar] of news) {
      const isNewest = time >= Math.max(last, ...news.keys());
      this.bars.set(time, { ...bar, isOpen: isNewest && record.forming !== false });
    }
    if (!isLater || news.size !== 1 || !news.has(last)) {
      const before = this.bars.get(last);
      if (before && news.size && !news.has(last)) before.isOpen = false;
      this.fill();
      return;
    }
    this.candles.update(this.drawn(this.bars.get(last)));
    this.volume.update(this.drawnVolume(this.bars.get(last)));
    this.retell();
  }

  level(time) {
    const bar = this.bars.get(time);
    if (bar) return bar.close;
    return [...this.bars.values()].at(-1).close;
  }

  tell(time) {
    const gap = time === null ? undefined : this.gaps.get(time);
    if (gap) {
      const [start, end] = [gap.start, gap.end].map((one) => saidTime(Date.parse(one), this.timeframe));
      const count = gap.bars === 1 ? "1 candle is" : `${(gap.bars || 0).toLocaleString("en-US")} candles are`;
      showValues([["", `${start} to ${end} UTC`], ["", `${count} missing: ${causeOf(gap)}`, "", "gap"]]);
      return;
    }
    const newest = this.times.findLast((one) => this.bars.has(one));
    const bar = this.bars.get(time === null ? newest : time);
    if (!bar) {
      showValues([]);
      return;
    }
    const change = bar.open ? (100 * (bar.close - bar.open)) / bar.open : 0;
    const price = (value) => said(value, this.decimals);
    showValues([
      ["", `${saidTime(bar.time, this.timeframe)} UTC`, "", "time"],
      ["O", price(bar.open), "", "open"],
      ["H", price(bar.high), "", "high"],
      ["L", price(bar.low), "", "low"],
      ["C", price(bar.close), "", "close"],
      ["", `${change >= 0 ? "+" : ""}${said(change, 2)}%`],
      ["Volume", saidSize(bar.volume), "", "volume"],
      ...(bar.trades === null ? [] : [["Trades", bar.trades.toLocaleString("en-US"), "", "trades"]]),
      ...(bar.isOpen ? [["", "open candle", "", "state"]] : []),
      ...(bar.mark ? [["", spoken(bar.mark), "", "mark"]] : []),
    ]);
  }

  rows() {
    const price = (value) => said(value, this.decimals);
    let told = null;
    const rows = [];
    for (const time of this.times) {
      const bar = this.bars.get(time);
      const gap = this.gaps.get(time);
      if (gap && gap !== told) {
        const until = saidTime(Date.parse(gap.end), this.timeframe);
        rows.push([saidTime(Date.parse(gap.start), this.timeframe), `missing until ${until}: ${causeOf(gap)}`]);
      }
      told = gap || null;
      if (!bar) continue;
      const remark = [bar.isOpen ? "open" : "", bar.mark ? spoken(bar.mark) : ""].filter(Boolean);
      rows.push([
        saidTime(time, this.timeframe), ...[bar.open, bar.high, bar.low, bar.close].map(price),
        saidSize(bar.volume), bar.trades === null ? "\u2013" : String(bar.trades), remark.join(", "),
      ]);
    }
    return rows;
  }

  table() {
    fillTable(
      "Candles by open time in UTC.",
      ["Open time", "Open", "High", "Low", "Close", "Volume", "Trades", ""],
      this.rows(),
    );
  }
}

class LineChart extends TimeChart {
  /** Lines of points [time, value]; `rebased` as parts of a hundred from a time on. */
  constructor(lines, timeframe, decimals) {
    super(timeframe);
    this.lines = lines;
    this.decimals = decimals;
    this.series = lines.map((line) =>
      this.chart.addSeries(LightweightCharts.LineSeries, {
        title: line.name, lineWidth: 2, priceFormat: this.format(decimals), priceLineVisible: false,
      }),
    );
    this.paint();
    this.fill();
    this.fit();
  }

  paint() {
    super.paint();
    this.series.forEach((series, index) => series.applyOptions({ color: seriesColour(index) }));
  }

  fill() {
    const times = new Set(this.lines.flatMap((line) => [...line.points.keys()]));
    this.times = [...times].sort((one, other) => one - other);
    this.lines.forEach((line, index) => {
      const sorted = [...line.points].sort(([one], [other]) => one - other);
      this.series[index].setData(sorted.map(([time, value]) => ({ time: time / 1000, value })));
    });
    this.drawnCount = this.lines.reduce((sum, line) => sum + line.points.size, 0);
    this.retell();
  }

  level(time) {
    const line = this.lines.find((one) => one.points.has(time));
    return line ? line.points.get(time) : 0;
  }

  tell(time) {
    const told = time === null ? this.times[this.times.length - 1] : time;
    if (told === undefined) {
      showValues([]);
      return;
    }
    showValues([
      ["", `${saidTime(told, this.timeframe)} UTC`, "", "time"],
      ...this.lines.map((line, index) => [
        line.name, said(line.points.get(told), this.decimals), seriesColour(index), line.name,
      ]),
    ]);
  }

  table() {
    fillTable(
      "Values by time in UTC.",
      ["Time", ...this.lines.map((line) => line.name)],
      this.times.map((time) => [
        saidTime(time, this.timeframe),
        ...this.lines.map((line) => said(line.points.get(time), this.decimals)),
      ]),
    );
  }
}

/** Lines of closing prices, each 100 at the first time that all have. */
function rebased(records) {
  const pairs = new Set(records.map((record) => record.pair));
  const closes = records.map(
    (record) => new Map([...barsOf(record)].map(([time, bar]) => [time, bar.close])),
  );
  const shared = [...closes[0].keys()].find((time) => closes.every((one) => one.get(time)));
  return {
    from: shared,
    lines: records.map((record, index) => {
      const base = closes[index].get(shared === undefined ? [...closes[index].keys()][0] : shared);
      const points = [...closes[index]].map(([time, close]) => [time, (100 * close) / base]);
      return { name: pairs.size === 1 ? record.exchange : record.pair, points: new Map(points) };
    }),
  };
}
