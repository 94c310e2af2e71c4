"""docs/architecture.md names files and names that are there, and stays short."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def defined(file: Path) -> set[str]:
    """Name what a file defines at its top."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for one in targets if isinstance(one, ast.Name)}
    return names


def test_each_likely_question_is_answered_by_a_name_in_a_file() -> None:
    rows = re.findall(r"^\| .+\? \| `(.+)` \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 10
    for file, name in rows:
        assert name in defined(ROOT / file), file


def test_the_glossary_is_short() -> None:
    glossary = PAGE.partition("## Words")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| [a-z]", glossary, re.MULTILINE)) <= 21  # with its heading


def test_it_fits_on_two_screens() -> None:
    assert len(PAGE.splitlines()) <= 120


def test_files_and_folders_in_it_exist() -> None:
    places = re.findall(r"`((?:marketdata\w*|tests|sim|_\w+)/[\w/.]*)`", PAGE)
    assert places
    for place in places:
        assert (ROOT / place).exists() or (ROOT / "marketdata" / place).exists(), place


def test_private_modules_are_named_by_few_tests() -> None:
    """A private module can move without many tests: `tests/inside` names what they share."""
    imports = re.compile(r"^ *(?:from|import) marketdata\w*(?:\.\w+)*?\._", re.MULTILINE)
    tests = (ROOT / "tests").rglob("*.py")
    found = {file: len(imports.findall(file.read_text())) for file in tests}
    assert found[ROOT / "tests" / "inside" / "requests.py"] > 0
    assert sum(found.values()) <= 130, {str(one): count for one, count in found.items() if count}
