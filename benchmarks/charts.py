"""The time that the chart page takes to draw, in the Chromium of ``make browser``.

``shown`` is the clock time from the start of the page's own code to the end of the first frame.
``processor`` is the CPU time of the page's thread until then, including parsing the library. On a
busy machine, only ``processor`` is meaningful.
"""

from __future__ import annotations

import statistics

from tests.browser import markets
from tests.browser.chromium import launched

BOUNDS = {500: 200, 5_000: 300, 20_000: None}
"""The maximum milliseconds by number of candles."""
RUNS = 7


def main() -> int:
    failed = 0
    print(f"{'candles':>8} {'shown, ms':>10} {'processor, ms':>14} {'bound':>6}   median of {RUNS}")
    with launched() as browser:
        for count, bound in BOUNDS.items():
            html = markets.candles(count, timeframe="1m").chart().html
            shown, worked = [], []
            for _ in range(RUNS):
                page = browser.new_page(viewport={"width": 900, "height": 520})
                counters = page.context.new_cdp_session(page)
                counters.send("Performance.enable", {"timeDomain": "threadTicks"})
                page.set_content(html, wait_until="commit")
                page.wait_for_selector("html[data-drawn]", state="attached")
                found = counters.send("Performance.getMetrics")["metrics"]
                worked.append(next(one["value"] for one in found if one["name"] == "TaskDuration"))
                shown.append(int(page.evaluate("document.documentElement.dataset.milliseconds")))
                page.close()
            middle, work = statistics.median(shown), 1000 * statistics.median(worked)
            failed |= bound is not None and work > bound
            print(f"{count:>8,} {middle:>10,.0f} {work:>14,.0f} {bound or '':>6}")
    return int(failed)
