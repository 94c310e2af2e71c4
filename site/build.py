"""Builds the documentation site into build/site: ``make docs-site``; ``serve`` shows it.

The pages are those of docs/. Beside them are made here: the reference of functions, commands and
tools from what each says of itself, and the notebook as it comes out of a real kernel. The site
also has each page as Markdown, and llms.txt, which lists them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import notebook
import reference

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
BUILD = ROOT / "build"
SOURCE = BUILD / "docs"
SITE = BUILD / "site"
CONFIG = ROOT / "zensical.toml"


def gather() -> None:
    """Put all pages, with those that are made, into one folder."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(PAGES, SOURCE, ignore=shutil.ignore_patterns("*.py"))
    made = {
        "reference/functions.md": reference.functions(),
        "reference/records.md": reference.records(),
        "reference/commands.md": reference.commands(),
        "reference/tools.md": reference.tools(),
    }
    for name, text in made.items():
        (SOURCE / name).parent.mkdir(exist_ok=True)
        (SOURCE / name).write_text(text)
    notebook.write(ROOT / "examples" / "notebook.ipynb", SOURCE / "notebook.md")


def build() -> None:
    """Make the site; a warning is an error."""
    subprocess.run(
        [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict", "-f", CONFIG],
        cwd=ROOT,
        check=True,
        env={**os.environ, "MARKETDATA_SIM": "1"},
    )


def named(nav: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield the title and file of each page in the menu, in order."""
    for entry in nav:
        for title, page in entry.items():
            if isinstance(page, str):
                yield title, page
            else:
                yield from named(page)


def add_markdown() -> None:
    """Put each page's Markdown beside it, and llms.txt at the top."""
    project = tomllib.loads(CONFIG.read_text())["project"]
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}", ""]
    listed = {page: title for title, page in named(project["nav"])}
    missing = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.md")} - listed.keys()
    if missing:
        raise SystemExit(f"not in the menu of {CONFIG.name}: {', '.join(sorted(missing))}")
    for page, title in listed.items():
        text = (SOURCE / page).read_text()
        (SITE / page).parent.mkdir(parents=True, exist_ok=True)
        (SITE / page).write_text(text)
        first = re.sub(r"[`*\[\]]|\(.*?\)", "", _first_sentence(text))
        lines.append(f"- [{title}]({page}): {first}")
    (SITE / "llms.txt").write_text("\n".join(lines) + "\n")


def _first_sentence(text: str) -> str:
    for part in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split("\n\n"):
        plain = " ".join(part.split())
        if plain and not plain.startswith(("#", "```", "|", ":::", "<!--", "- ")):
            return re.split(r"(?<=[.:])\s", plain)[0]
    return ""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("a", "link", "script", "img", "iframe"):
            self.targets += [one for one in (found.get("href"), found.get("src")) if one]
        for name in ("id", "name"):
            if value := found.get(name):
                self.anchors.add(value)


def check_links() -> None:
    """Fail where a link of the site leads nowhere, also to a heading."""
    pages: dict[Path, _Links] = {}
    for file in SITE.rglob("*.html"):
        pages[file] = _Links()
        pages[file].feed(file.read_text())
    dead = []
    for file, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or file.name == "404.html":
                continue
            to = file if not parts.path else (file.parent / unquote(parts.path)).resolve()
            to = to / "index.html" if to.is_dir() else to
            anchor = unquote(parts.fragment)
            lost = anchor and to in pages and anchor not in pages[to].anchors | {"__skip", "#"}
            if not to.exists() or lost:
                dead.append(f"{file.relative_to(SITE)}: {target}")
    if dead:
        raise SystemExit("links that lead nowhere:\n" + "\n".join(sorted(set(dead))))


def main() -> None:
    """Build the site, and serve it where that is asked for."""
    gather()
    build()
    add_markdown()
    check_links()
    print(json.dumps({"pages": len(list(SITE.rglob("*.html"))), "site": str(SITE)}))
    if sys.argv[1:] == ["serve"]:
        subprocess.run([sys.executable, "-m", "http.server", "8001", "-d", SITE], check=False)


if __name__ == "__main__":
    main()
