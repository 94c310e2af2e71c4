// What all charts share: the page's parts, numbers, times, the theme, the table.

const part = (id) => document.getElementById(id);
const numeric = (value) => (value === null || value === undefined ? null : Number(value));
const MINUS = "\u2212";

/** Decimals that a number is written with. */
function decimalsOf(value) {
  const [digits, exponent = "0"] = String(value).toLowerCase().split("e");
  const written = (digits.split(".")[1] || "").length;
  return Math.max(0, written - Number(exponent));
}

/** One number of decimals for a column: enough for each value, no more digits than a float has. */
function decimalsFor(values) {
  let most = 0;
  let largest = 0;
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    most = Math.max(most, decimalsOf(value));
    largest = Math.max(largest, Math.abs(value));
  }
  const whole = largest >= 1 ? Math.floor(Math.log10(largest)) + 1 : 0;
  return Math.min(most, Math.max(0, 15 - whole), 20);
}

// Making a formatter takes longer than a hundred uses of it.
const writers = new Map();
function writer(decimals) {
  if (!writers.has(decimals)) {
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    writers.set(decimals, new Intl.NumberFormat("en-US", options));
  }
  return writers.get(decimals);
}
const sizes = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

function said(value, decimals) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  return writer(decimals).format(value).replace("-", MINUS);
}

/** A size or volume: six digits at most, as nobody reads more of a sum. */
function saidSize(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  if (value !== 0 && Math.abs(value) < 1e-9) return value.toExponential(2);
  return sizes.format(value);
}

/** The same where there is little room. */
function saidShort(value) {
  const size = Math.abs(value);
  for (const [least, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]]) {
    if (size >= least) {
      const scaled = value / least;
      return scaled.toLocaleString("en-US", { maximumSignificantDigits: 3 }) + letter;
    }
  }
  return value === 0 ? "0" : String(Number(value.toPrecision(3)));
}

const two = (number) => String(number).padStart(2, "0");

/** A time in UTC, no finer than bars of this length need. */
function saidTime(milliseconds, timeframe) {
  const time = new Date(milliseconds);
  const day = `${time.getUTCFullYear()}-${two(time.getUTCMonth() + 1)}-${two(time.getUTCDate())}`;
  const unit = timeframe ? timeframe.slice(-1) : "s";
  if (unit === "M") return day.slice(0, 7);
  if (unit === "d" || unit === "w" || unit === "y") return day;
  const clock = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}`;
  return `${day} ${clock}${unit === "s" ? `:${two(time.getUTCSeconds())}` : ""}`;
}

const spoken = (word) => word.replaceAll("_", " ");

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Show values in one line: [name, text, colour of a mark, key for programs]. */
function showValues(found) {
  const line = part("values");
  line.replaceChildren(
    ...found.map(([name, text, colour, key]) => {
      const one = element("span");
      if (colour) one.append(Object.assign(element("i"), { style: `background:${colour}` }));
      if (name) one.append(element("b", name));
      one.append(element("span", text, key ? { "data-key": key } : {}));
      return one;
    }),
  );
}

/** Have a screen reader say the values in the line above the chart. */
function speakValues() {
  const told = [...part("values").children].map((one) => [...one.children].map((word) => word.textContent));
  part("spoken").textContent = told.map((words) => words.filter(Boolean).join(" ")).join(", ");
}

const LONGEST_TABLE = { open: 10000, closed: 100 };

/** Put the numbers behind the chart into its table: the newest of very many, few until it is open. */
function fillTable(caption, head, rows) {
  const shown = rows.slice(-LONGEST_TABLE[part("behind").open ? "open" : "closed"]);
  const table = element("table");
  const cut = shown.length < rows.length ? ` The newest ${shown.length.toLocaleString("en-US")}.` : "";
  table.append(element("caption", caption + cut));
  const top = table.createTHead().insertRow();
  for (const name of head) top.append(element("th", name, { scope: "col" }));
  const body = table.createTBody();
  for (const row of shown) {
    const line = body.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  part("table").replaceChildren(table);
}

// ------------------------------------------------------------------------------- theme

let given = null;
const preferred = window.matchMedia("(prefers-color-scheme: dark)");

/** Red, green, blue and alpha from 0 to 255, of a colour in whatever way a style has it. */
function pixelOf(colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

/** Whether what this page is embedded in is dark; null where that cannot be seen. */
function darkAround() {
  try {
    let around = window.frameElement;
    while (around) {
      // The element around a shadow root is its host.
      around = around.parentElement || around.getRootNode().host;
      const kind = around && around.dataset.vscodeThemeKind;
      if (kind) return !kind.endsWith("light");
      const [red, green, blue, alpha] = around ? pixelOf(getComputedStyle(around).backgroundColor) : [];
      if (alpha > 128) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
    }
  } catch (_) {
    // Another origin: its page cannot be looked at.
  }
  return null;
}

function chosenTheme() {
  const around = darkAround();
  return given || ((around === null ? preferred.matches : around) ? "dark" : "light");
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const SERIES = {
  light: ["#2962ff", "#d97706", "#7c3aed", "#0e8a6d", "#d6336c", "#5d6270", "#0891b2", "#a16207"],
  dark: ["#5b8cff", "#f5a623", "#b08cff", "#34c9a3", "#ff7aa8", "#b2b5be", "#3ec6e0", "#d6b656"],
};
const seriesColour = (index) => {
  const colours = SERIES[document.documentElement.dataset.theme];
  return colours[index % colours.length];
};

function head(title, about, simulated) {
  part("title").textContent = title;
  document.title = simulated ? `${title} (simulated)` : title;
  part("about").textContent = about;
  part("simulated").hidden = !simulated;
}

function note(texts) {
  part("notes").textContent = texts.join(" ");
  part("notes").hidden = texts.length === 0;
}

function showEmpty(text) {
  part("chart").hidden = text !== null;
  part("empty").hidden = text === null;
  part("empty").textContent = text || "";
}

function labelled(text) {
  part("chart").setAttribute("aria-label", text);
}
