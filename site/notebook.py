"""Makes a page of a notebook, with what each cell shows in a real kernel."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import nbclient
import nbformat

_WIDGET = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"


def write(source: Path, page: Path) -> None:
    """Run a notebook on the simulated exchange, and write it as Markdown; pictures beside it."""
    os.environ.update(MARKETDATA_SIM="1")
    found = nbformat.read(source, as_version=4)
    nbclient.NotebookClient(found, timeout=120, kernel_name="python3").execute()
    widgets = found.metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    parts, pictures = [], 0
    for cell in found.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", []):
            data: dict[str, Any] = output.get("data", {})
            if output.output_type == "error":
                raise SystemExit(f"{source.name}: {output.ename}: {output.evalue}")
            if _WIDGET in data:
                state = widgets[data[_WIDGET]["model_id"]]["state"]
                pictures += 1
                name = f"{page.stem}-{pictures}.html"
                page.with_name(name).write_text(state["page"], "utf-8")
                parts.append(
                    f'<iframe src="{name}" title="{state["title"]}" loading="lazy" '
                    f'style="width:100%;height:{state["height"]}px;border:0"></iframe>'
                )
            elif "image/png" in data:
                pictures += 1
                name = f"{page.stem}-{pictures}.png"
                page.with_name(name).write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![What the cell draws]({name})")
            elif "text/html" in data:
                # Blank lines would end a block of HTML in Markdown.
                lines = "".join(data["text/html"]).splitlines()
                parts.append(
                    "<div class='cell'>" + "\n".join(one for one in lines if one.strip()) + "</div>"
                )
            else:
                text = "".join(data.get("text/plain", output.get("text", "")))
                parts.append(f"```text\n{text.rstrip()}\n```")
    page.write_text("\n\n".join(parts) + "\n")
