"""Makes the pictures in docs/images: ``make screenshots``.

They are of what the simulated exchange answers: as a notebook's cells show it, and as commands show
it on a terminal. The clock stands still, the seed and the fonts are fixed, and what is measured is
given, so that a picture changes only when a display does. A folder and the name of a cell make the
pictures of that cell in the folder.
"""

from __future__ import annotations

import html
import io
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib
import time_machine
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from marketdata.models._display import html as as_html  # noqa: E402 - of this copy of the project
from marketdata.models._display.notebook import Cell  # noqa: E402
from marketdata_cli.app import run  # noqa: E402
from tests.browser.chromium import launched  # noqa: E402

IMAGES = ROOT / "docs" / "images"
NOW = datetime(2026, 3, 20, 14, 32, 11, tzinfo=UTC)
_COLOURS = 200
"""Of a picture: nobody sees more, and they take room."""
_DENSITY = 1.5
_AT_MOST = 1_500_000
"""Bytes of all pictures together."""

CELLS = {
    "ticker": 'md.ticker("BTC/USDT")',
    "orderbook": 'md.orderbook("BTC/USDT", depth=8)',
    "candles": 'md.candles("ETH/BTC", "1m", start="-1h", exchange="kraken")',
    "comparison": 'md.compare("BTC/USDT")',
    "cost": 'md.execution_cost("BTC/USDT", side="buy", amount=2)',
    "trades": 'md.trades("BTC/USDT", limit=12)',
    "download": 'md.history.download(["BTC/USDT", "ETH/USDT"], "1h", start="-30d")',
    "live": 'md.watch_orderbook("BTC/USDT", depth=8).display()',
    "chart": 'md.candles("BTC/USDT", "1h", start="-7d").chart()',
}
TOGETHER = {"notebook": ("ticker", "chart")}
"""Pictures of several cells."""
COMMANDS = {
    "ticker": "ticker BTC/USDT",
    "candles": "candles BTC/USDT --timeframe 1h --limit 72",
    "compare": "compare BTC/USDT",
    "live": "watch orderbook BTC/USDT --depth 8",
}
ENDED = {"live": " --count 3 --quiet"}
"""What ends a command that is shown while it goes on."""
SIZE = (92, 30)
"""Of the terminal, in characters."""

_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FONTS = "".join(
    f'@font-face {{ font-family: Menlo; font-weight: {weight}; src: url("{file.as_uri()}"); }}'
    for weight, file in (
        (400, _FONT / "DejaVuSansMono.ttf"),
        (700, _FONT / "DejaVuSansMono-Bold.ttf"),
    )
)
# A cell as JupyterLab has it, in its colours.
_NOTEBOOK = """<!doctype html><meta charset="utf-8"><style>{fonts}
body {{ margin: 0; background: {back}; color: {text}; font: 13px/1.5 "Open Sans", sans-serif; }}
#shown {{ display: inline-block; padding: 14px 18px 4px; {width} }}
pre {{ font: 13px/1.5 Menlo; background: {cell}; border: 1px solid {line}; margin: 0 0 8px;
  padding: 5px 10px; }}
.out {{ margin: 0 10px 12px; }}
</style><body data-jp-theme-light="{is_light}"><div id="shown">{cells}</div>"""
_THEMES = {
    "light": {"back": "#fff", "text": "#1f1f1f", "cell": "#f5f5f5", "line": "#e0e0e0"},
    "dark": {"back": "#111", "text": "#e0e0e0", "cell": "#212121", "line": "#424242"},
}
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>{fonts}
body {{ margin: 0; background: {background}; }}
#shown {{ display: inline-block; padding: 14px 18px; color: {foreground}; }}
pre {{ margin: 0; font: 14px/1.2 Menlo; }}
{stylesheet}</style><div id="shown"><pre>{code}</pre></div>"""
_PALETTE = TerminalTheme(
    (24, 26, 31),
    (214, 218, 225),
    [
        (24, 26, 31),
        (255, 133, 137),
        (76, 195, 138),
        (233, 180, 76),
        (110, 168, 254),
        (200, 150, 250),
        (99, 197, 218),
        (214, 218, 225),
    ],
)


@contextmanager
def _still() -> Iterator[None]:
    """Have the simulated exchange answer, always at the same time."""
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        del os.environ[name]
    width, height = map(str, SIZE)
    latencies = itertools.cycle((0.031, 0.044, 0.027, 0.058))
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ.update(MARKETDATA_SIM="1", MARKETDATA_HOME=home, COLUMNS=width, LINES=height)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        shown = "marketdata.models._display"
        stack.enter_context(time_machine.travel(NOW, tick=False))
        stack.enter_context(mock.patch(f"{shown}.several._of_ms", side_effect=latencies))
        stack.enter_context(mock.patch(f"{shown}.stored.duration", return_value="1.2 s"))
        yield


def in_notebook(source: str) -> str:
    """Run a cell, and give the HTML that it shows; of live data, after three updates."""
    drawn: list[str] = []

    def draw(page: Any) -> None:
        drawn.append(as_html.html(page))
        if len(drawn) == 3:
            raise KeyboardInterrupt

    shell = InteractiveShell.instance()
    shell.run_cell("import marketdata as md")
    with (
        redirect_stdout(io.StringIO()),
        mock.patch(
            "marketdata.models._display.notebook.cell", return_value=Cell(draw, drawn.clear)
        ),
    ):
        ran = shell.run_cell(source)
    ran.raise_error()
    if drawn:
        return drawn[-1]
    page = getattr(ran.result, "html", None)
    if page is None:
        return str(ran.result._repr_html_())
    return (
        f'<iframe srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{ran.result.height}px;border:0"></iframe>'
    )


class _Screen(io.TextIOWrapper):
    """Standard output that says it is a terminal, and keeps what is written."""

    def __init__(self) -> None:
        self.kept = io.BytesIO()
        super().__init__(self.kept, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True


def on_terminal(line: str) -> str:
    """Run a command, and give what it leaves on a terminal, with the codes for colours."""
    screen = _Screen()
    with mock.patch.object(sys, "stdout", screen):
        code = run(line.split())
    written = screen.kept.getvalue().decode()
    if code:
        raise SystemExit(f"{line} ended with {code}: {written}")
    # A live picture has a screen of its own until its end.
    return written.rpartition("\x1b[?1049l")[2]


def notebook_page(cells: list[tuple[str, str]], theme: str) -> str:
    """Lay out cells with what they show."""
    parts = [
        f'<pre>{html.escape(source)}</pre><div class="out">{shown}</div>' for source, shown in cells
    ]
    is_wide = any("<iframe" in part for part in parts)
    return _NOTEBOOK.format(
        **_THEMES[theme],
        fonts=_FONTS,
        cells="".join(parts),
        is_light=str(theme == "light").lower(),
        width="width: 840px" if is_wide else "",
    )


def terminal_page(line: str, written: str) -> str:
    """Lay out a command with what it leaves on the terminal."""
    console = Console(record=True, file=io.StringIO(), width=SIZE[0], color_system="truecolor")
    console.print(Text.assemble(("$ ", "green bold"), f"marketdata --sim {line}"), soft_wrap=True)
    # Rich exports no exchange of the default colours.
    marked = written.rstrip().replace("\x1b[7m", "\x1b[38;2;24;26;31;48;2;214;218;225m")
    console.print(Text.from_ansi(marked))
    return console.export_html(
        theme=_PALETTE, code_format=_TERMINAL.replace("{fonts}", _escaped(_FONTS))
    )


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _pages(cell: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the theme and the HTML of each picture, or of those of one cell."""
    cells = CELLS if cell is None else {cell: CELLS[cell]}
    commands, together = (COMMANDS, TOGETHER) if cell is None else ({}, {})
    with _still():
        shown = {name: (source, in_notebook(source)) for name, source in cells.items()}
        written = {name: on_terminal(line + ENDED.get(name, "")) for name, line in commands.items()}
    for theme in _THEMES:
        for name, names in {**{one: (one,) for one in cells}, **together}.items():
            yield f"{name}-{theme}", theme, notebook_page([shown[one] for one in names], theme)
    for name, line in commands.items():
        yield f"terminal-{name}", "dark", terminal_page(line, written[name])


def main(images: Path = IMAGES, cell: str | None = None) -> None:
    """Make all pictures, or those of one cell, in place of those that are there."""
    pages = list(_pages(cell))
    images.mkdir(exist_ok=True)
    with launched() as browser, tempfile.TemporaryDirectory() as folder:
        for name, theme, text in pages:
            context = browser.new_context(
                viewport={"width": 1100, "height": 700},
                color_scheme=theme,
                device_scale_factor=_DENSITY,
            )
            file = Path(folder, f"{name}.html")
            file.write_text(text, "utf-8")
            tab = context.new_page()
            tab.goto(file.as_uri())
            if "<iframe" in text:
                drawn = tab.frame_locator("iframe").locator("html[data-drawn]")
                drawn.wait_for(state="attached")
            picture = tab.locator("#shown").screenshot()
            context.close()
            found = Image.open(io.BytesIO(picture)).convert("RGB")
            found.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE).save(
                images / f"{name}.png", optimize=True
            )
    left = {file.stem for file in images.glob("*.png")} - {name for name, *_ in pages}
    for old in left if cell is None else ():
        (images / f"{old}.png").unlink()
    size = sum(file.stat().st_size for file in images.glob("*.png"))
    print(json.dumps({"pictures": len(pages), "bytes": size}))
    if size > _AT_MOST:
        raise SystemExit(f"the pictures have {size:,} bytes, more than {_AT_MOST:,}")


if __name__ == "__main__":
    folder, *cells = sys.argv[1:] or [str(IMAGES)]
    main(Path(folder), *cells)
