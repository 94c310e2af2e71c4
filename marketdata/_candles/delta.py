"""The Delta Lake operations of a series: open, read and append to its log."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata._candles.datafiles import File, milliseconds_of, schema, stamp

if TYPE_CHECKING:
    import deltalake

_APPLICATION = "marketdata"
_PROPERTIES = {
    # Opening a table reads the last checkpoint and the commits behind it.
    "delta.checkpointInterval": "32",
    # What was replaced is no history to travel in. Commits behind a checkpoint that are older go
    # away: each is a file that every later commit would find in its listing. Whoever is so far
    # behind opens the table anew. Data files stay for an hour, see `tidy`.
    "delta.logRetentionDuration": "interval 10 seconds",
    "delta.deletedFileRetentionDuration": "interval 10 seconds",
    "delta.enableExpiredLogCleanup": "true",
}


class Delta:
    """Delta Lake's real operations; tests use a variant that fails."""

    def now(self) -> float:
        """Return the time in Unix seconds, including the time that the machine was suspended."""
        return time.time()

    def open(self, url: str) -> deltalake.DeltaTable:
        """Open a table; raises TableNotFoundError if there is none."""
        import deltalake

        return deltalake.DeltaTable(url)

    def is_there(self, url: str) -> bool:
        """Return whether the table exists."""
        import deltalake

        return bool(deltalake.DeltaTable.is_deltatable(url))

    def stamp(self, url: str, version: int) -> tuple[int, ...] | None:
        """Return the identity of a commit's file; None if it is missing."""
        return stamp(url, f"_delta_log/{version:020}.json")

    def files(self, table: deltalake.DeltaTable) -> list[File]:
        """List the current data files, by time."""
        import pyarrow as pa

        # `pa.table` would import pandas to check for a frame.
        actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
        starts, ends = milliseconds_of(actions["min.time"]), milliseconds_of(actions["max.until"])
        nulls = [f"null_count.{name}" for name in ("open", "volume", "trades")]
        named = ["path", "num_records", *nulls, "size_bytes"]
        facts = (actions[name].to_pylist() for name in named)
        files = [
            File(path, start, end, rows, gaps, unmeasured - gaps, uncounted - gaps, size)
            for start, end, path, rows, gaps, unmeasured, uncounted, size in zip(
                starts, ends, *facts, strict=True
            )
        ]
        return sorted(files, key=lambda file: file.start)

    def create(self, url: str, added: Sequence[File], description: str) -> None:
        """Create a table; raises DeltaError if another process has created it."""
        from deltalake.transaction import create_table_with_add_actions

        create_table_with_add_actions(
            url,
            _schema(),
            [_action(file) for file in added],
            configuration=_PROPERTIES,
            description=description,
        )

    def commit(
        self,
        table: deltalake.DeltaTable,
        added: Sequence[File],
        removed: Sequence[File],
        transaction: int | None,
    ) -> None:
        """Append to the log; raises DeltaError if that has failed, or may have failed.

        With the number of a ``transaction``, any commit since the last refresh is a conflict.
        """
        from deltalake.transaction import CommitProperties, RemoveAction, Transaction

        now = round(time.time() * 1000)
        gone = [RemoveAction(file.path, True, now, file.size, {}) for file in removed]
        mine = [] if transaction is None else [Transaction(_APPLICATION, transaction)]
        table.create_write_transaction(
            [*gone, *map(_action, added)],
            "append",
            table.schema(),
            commit_properties=CommitProperties(app_transactions=mine),
        )


def _action(file: File) -> deltalake.transaction.AddAction:
    """Return the log entry that adds a file."""
    from deltalake.transaction import AddAction

    nulls = dict.fromkeys(("time", "until"), 0)
    nulls |= dict.fromkeys(("open", "high", "low", "close"), file.gaps)
    nulls["volume"] = file.gaps + file.unmeasured
    nulls["trades"] = file.gaps + file.uncounted
    nulls["cause"] = file.rows - file.gaps
    statistics = {
        "numRecords": file.rows,
        "minValues": {"time": text_of(file.start)},
        "maxValues": {"until": text_of(file.end)},
        "nullCount": nulls,
    }
    now = round(time.time() * 1000)
    return AddAction(file.path, file.size, {}, now, True, json.dumps(statistics))


def text_of(milliseconds: int) -> str:
    """Return a moment in the format of logs."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.cache
def _schema() -> deltalake.Schema:
    from deltalake import Schema

    return Schema.from_arrow(schema())
