"""The commands ``marketdata history``: download, list, verify, repair, export, remove."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from marketdata.arguments import Described, DryRun
from marketdata.errors import InvalidParameterError, InvalidRequestError
from marketdata.operations import PLAN
from marketdata_cli import answer, binding, process
from marketdata_cli.options import NAME, QUIET, YES, Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata import Client, Damage, Downloaded, Records
    from marketdata.operations import Operation
    from marketdata_cli.live.progress import Board

ABOUT = """Stored candles: download, list, verify, repair, export, remove.

`download`, and `candles` with a range, store closed candles in MARKETDATA_STORE. Stored candles
are not requested again.
"""

EXAMPLES = (
    "history download BTC/USDT ETH/USDT -t 1m --start -90d -e okx,bybit",
    "history list",
    "history export btc.parquet BTC/USDT -t 1m",
)

_CHUNK = 1 << 20
_DAYS = binding.Parameter.of(
    inspect.Parameter("days", inspect.Parameter.KEYWORD_ONLY, default=False),
    Annotated[bool, Described("Report each day, as --detail day does.")],
).as_keyword()
_DRY_RUN = binding.Parameter.of(
    inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, default=False), DryRun
).as_keyword()


def command(operation: Operation) -> Callable[..., Any]:
    """Make the function of one command of the group."""
    more = {"list": (_DAYS,), "download": (_DRY_RUN, QUIET), "remove": (YES,)}
    return binding.command(operation, _ask, *more.get(operation.name, ()))


def _ask(
    operation: Operation, given: dict[str, Any], options: Common, **further: Any
) -> Callable[[], int]:
    return functools.partial(_RUNS[operation.name], operation, given, options, **further)


# ---------------------------------------------------------------------------- downloading


def _download(
    operation: Operation, given: dict[str, Any], options: Common, *, dry_run: bool, quiet: bool
) -> int:
    if dry_run:
        return _plan(given, options)
    from marketdata.models._display.stored import summary
    from marketdata_cli.live.progress import Board

    form = answer.chosen(options.form)
    gc.enable()  # the responses of a year would not fit into the memory
    board = Board(drawn=not quiet)
    try:
        with board:
            found = asyncio.run(_fetched(given, options, board))
    except KeyboardInterrupt:
        stored = (
            f"{board.come:,} new candles are stored" if board.come else "No new candles are stored"
        )
        process.complain(f"Interrupted. {stored}; run the same command again to continue.")
        return process.INTERRUPTED
    failed = [one.error for one in found if one.error is not None]
    wrong = {kind.code for kind in InvalidRequestError.__subclasses__()}
    are_wrong = wrong.issuperset(error["code"] for error in failed)
    code = 0
    # If every series failed because of wrong arguments, the command fails like any other.
    if len(failed) < len(found) or not are_wrong:
        code = process.write(answer.written(operation, found, options))
        if not quiet and not (form is Format.TABLE and sys.stderr.isatty()):
            process.complain(summary(found))
    _complain(found)
    if not failed:
        return code
    return process.WRONG_CALL if are_wrong else process.FAILED


def _complain(found: Sequence[Downloaded]) -> None:
    """Write the errors, with one line for the same error of several series."""
    from marketdata.models._display.stored import name

    failed: dict[tuple[str, str], list[str]] = {}
    for one in found:
        if one.error is not None:
            failed.setdefault((one.error["code"], one.error["message"]), []).append(name(one))
    for (code, message), names in failed.items():
        which = names[0] if len(names) == 1 else f"{len(names)} series"
        process.complain(f"error: {code}: {which}: {message}")


async def _fetched(given: dict[str, Any], options: Common, board: Board) -> Records[Downloaded]:
    """Download on a loop of this thread; Ctrl-C stores what has arrived and ends it."""
    from marketdata.clients import AsyncClient

    async with AsyncClient(settings=answer.settings(options)) as client:
        return await client.history.download(**given, progress=board)


def _plan(given: dict[str, Any], options: Common) -> int:
    with answer.client(options) as client:
        found = client.history.plan(**given)
    return process.write(answer.written(PLAN, found, options))


# ---------------------------------------------------------------------------- listing and checking


def _list(operation: Operation, given: dict[str, Any], options: Common, *, days: bool) -> int:
    if days:
        given = {**given, "detail": "day"}
    with answer.client(options) as client:
        found = client.history.list(**given)
        store = client.settings.candle_store()
    if found:
        said = f"Stored in {store}"
    elif given.keys() - {"detail"}:
        said = "No such candles are stored."
    else:
        said = (
            f"Nothing is stored in {store}. `{NAME} history download BTC/USDT --start -30d` "
            f"fetches a month; `{NAME} candles` with a range stores what it fetches, too."
        )
    return process.write(_with(said, operation, found, options))


def _verify(operation: Operation, given: dict[str, Any], options: Common) -> int:
    with answer.client(options) as client:
        found = client.history.verify(**given)
        said = "" if found else _all_well(client, given)
    said = said or f"`{NAME} history repair` removes it; the next request downloads it again."
    code = process.write(_with(said, operation, found, options))
    # An unused file is listed, but does no harm.
    is_damaged = any(one.problem != "file_left_over" for one in found)
    return code or (process.FAILED if is_damaged else 0)


def _repair(operation: Operation, given: dict[str, Any], options: Common) -> int:
    with answer.client(options) as client:
        found = client.history.repair(**given)
        said = "" if found else _all_well(client, given)
    again = _again(found, options)
    if again:
        said = "\n".join(["Removed. To download it again:", *again])
    return process.write(_with(said or "Mended.", operation, found, options))


def _all_well(client: Client, given: dict[str, Any]) -> str:
    from marketdata.models._display.stored import total

    return f"No damage: {total(client.history.list(**given))}."


def _again(found: Sequence[Damage], options: Common) -> list[str]:
    """Write the command lines that download again what a repair removed."""
    ranges: dict[tuple[str, str, str], list[datetime]] = {}
    for one in found:
        if one.start is not None and one.end is not None:
            times = ranges.setdefault((one.pair, one.timeframe, one.exchange), [])
            times += [one.start, one.end]
    sim = "--sim " if options.sim else ""
    return [
        f"  {NAME} {sim}history download {pair} -t {timeframe} -e {exchange} "
        f"--start {_typed(min(times))} --end {_typed(max(times))}"
        for (pair, timeframe, exchange), times in ranges.items()
    ]


def _typed(time: datetime) -> str:
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.removesuffix("T00:00:00Z")


# ---------------------------------------------------------------------------- exporting


def _export(_operation: Operation, given: dict[str, Any], options: Common) -> int:
    if given["destination"] == "-":
        return _export_to_output(given, options)
    with answer.client(options) as client:
        path = client.history.export(**given)
    if not sys.stdout.isatty():
        return process.write(f"{path}\n")
    from marketdata.models._display.numbers import size

    return process.write(f"Wrote {path}, {size(path.stat().st_size)}.\n")


def _export_to_output(given: dict[str, Any], options: Common) -> int:
    kind = given.setdefault("format", "csv")
    if kind != "csv" and sys.stdout.isatty():
        raise InvalidParameterError(
            f"{kind} cannot be shown on a terminal: name a file, or redirect the output.",
            details={"parameter": "format"},
        )
    import tempfile

    with tempfile.TemporaryDirectory() as folder, answer.client(options) as client:
        path = client.history.export(**{**given, "destination": Path(folder) / "bars"})
        with path.open("rb") as file:
            return process.send(iter(lambda: file.read(_CHUNK), b""))


# ---------------------------------------------------------------------------- removing


def _remove(operation: Operation, given: dict[str, Any], options: Common, *, yes: bool) -> int:
    with answer.client(options) as client:
        if not (yes or given.get("dry_run")) and not _agreed(client, given):
            process.complain("Nothing was removed.")
            return process.FAILED
        found = client.history.remove(**given)
    if not found:
        said = "No such candles are stored."
    else:
        said = "Nothing was removed: --dry-run." if given.get("dry_run") else "Removed."
    return process.write(_with(said, operation, found, options))


def _agreed(client: Client, given: dict[str, Any]) -> bool:
    """Show the series to remove, and ask for confirmation."""
    from marketdata.models._display.numbers import counted, size, span
    from marketdata.models._display.stored import name, total

    if not sys.stdin.isatty():
        raise InvalidParameterError(
            "remove deletes stored candles and cannot ask for confirmation here: add --yes, or "
            "--dry-run to see what it would delete.",
            details={"parameter": "yes"},
        )
    found = client.history.remove(**{**given, "dry_run": True})
    if not found:
        return True
    for one in found:
        held = f"{counted(one.bars, 'candle')}, {size(one.size)}"
        process.complain(f"{name(one)}, {span(one.start, one.end)}, {held}")
    sys.stderr.write(f"Remove {total(found)}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# ---------------------------------------------------------------------------- output


def _with(said: str, operation: Operation, found: Sequence[Any], options: Common) -> str:
    """Write an answer, with a remark below a table."""
    form = answer.chosen(options.form)
    written = answer.written(operation, found, options)
    return f"{written}{said}\n" if form is Format.TABLE else written


_RUNS: dict[str, Callable[..., int]] = {
    "download": _download,
    "list": _list,
    "verify": _verify,
    "repair": _repair,
    "export": _export,
    "remove": _remove,
}
