"""The file of a study: one SQLite database that is only ever added to, by one writer, and read by anyone.

`proposals` are written before a trial starts, `outcomes` after it has ended; a proposal without an outcome is
unfinished. Everything is text, numbers and JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from ein.grammar.diagnostics import EinError, fail
from ein.search.protocol import Trial

FILE = "study.db"
LOCK = "study.lock"
APPLICATION = 0x65696E73
"""`eins`: what tells our files from other SQLite files."""

VERSION = 1

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE proposals (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, parent INTEGER, attempt INTEGER NOT NULL,"
    " id TEXT NOT NULL, trace TEXT NOT NULL, term TEXT NOT NULL, modules INTEGER NOT NULL, identity TEXT NOT NULL,"
    " twin INTEGER)",
    "CREATE TABLE outcomes (number INTEGER PRIMARY KEY REFERENCES proposals (number), status TEXT NOT NULL,"
    " scores TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL, facts TEXT NOT NULL)",
    *(
        f"CREATE TRIGGER {table}_keep_{verb} BEFORE {verb} ON {table}"
        " BEGIN SELECT RAISE(ABORT, 'a study is only added to'); END"
        for table in ("meta", "proposals", "outcomes")
        for verb in ("UPDATE", "DELETE")
    ),
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_TRIALS = (
    "SELECT number, kind, parent, attempt, id, trace, term, modules, identity, twin, status, scores, reason, seconds,"
    " facts FROM proposals LEFT JOIN outcomes USING (number) ORDER BY number"
)


class Record:
    """An open study file. Every method raises EinError where the file cannot be read or written."""

    def __init__(
        self, connection: sqlite3.Connection, name: str, lock: sqlite3.Connection | None, durable: bool
    ) -> None:
        self.name = name
        self._connection = connection
        self._lock = lock
        self._durable = durable

    @classmethod
    def write(cls, folder: Path | None, durable: bool = True) -> Record:
        """Opens the file of a folder, made if need be, as its one writer; without a folder, one in memory.

        `durable`: what is written survives a loss of power, not only the end of this process.
        """
        if folder is None:
            return cls(sqlite3.connect(":memory:", isolation_level=None), "<memory>", None, durable)
        path = folder / FILE
        with _told(str(path)), contextlib.ExitStack() as undo:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _locked(folder)
            undo.callback(lock.close)
            connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            undo.callback(connection.close)
            connection.execute("PRAGMA trusted_schema = OFF")
            record = cls(connection, str(path), lock, durable)
            if not record.empty:
                record.check()
            connection.execute("PRAGMA journal_mode = WAL")
            undo.pop_all()
        return record

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Opens the file of a folder, which must be there and may be being written."""
        path = folder / FILE
        if not path.is_file():
            raise nothing_in(folder)
        with _told(str(path)), contextlib.ExitStack() as undo:
            connection = _read_only(path)
            undo.callback(connection.close)
            connection.execute("PRAGMA trusted_schema = OFF")
            record = cls(connection, str(path), None, False)
            if not record.empty:
                record.check()
            undo.pop_all()
        return record

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written, as in a file whose writer was killed at once."""
        with _told(self.name):
            return self._value("SELECT count(*) FROM sqlite_master") == 0 and not self._value("PRAGMA application_id")

    def check(self) -> None:
        """That this is a study, whole, and none of a later version."""
        with _told(self.name):
            version = self._value("PRAGMA user_version")
            if self._value("PRAGMA application_id") != APPLICATION:
                raise fail("E850", f"`{self.name}` is not a study of ein", help="name the folder of a study")
            if version > VERSION:
                message = (
                    f"`{self.name}` was written by a later version of ein (format {version}, known up to {VERSION})"
                )
                raise fail("E852", message, help="use that version")
            found = self._value("PRAGMA quick_check(1)")
            if found != "ok":
                raise sqlite3.DatabaseError(found)

    def create(self, header: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Makes the tables. All of it is in the file, or nothing is."""
        rows = [("header", json_text(header)), ("notes", json_text(notes))]
        with self._transaction(self._durable):
            for statement in _TABLES:
                self._connection.execute(statement)
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)

    def header(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the study was begun with: what has to stay the same, and what is only noted."""
        with _told(self.name):
            values = dict(self._connection.execute("SELECT key, value FROM meta"))
            return json.loads(values["header"]), json.loads(values["notes"])

    def trials(self) -> list[Trial]:
        with _told(self.name):
            found = [_trial(row) for row in self._connection.execute(_TRIALS)]
            if any(trial.number != place for place, trial in enumerate(found)):
                raise ValueError("the numbers of the trials have gaps")
            return found

    def add(self, proposed: Iterable[Trial], ended: Iterable[Trial]) -> None:
        """Writes proposals, and outcomes of trials, together or not at all. With a proposal it waits for the disk."""
        proposals = [
            (t.number, t.kind, t.parent, t.attempt, t.id, t.trace, t.term, t.modules, t.identity, t.twin)
            for t in proposed
        ]
        outcomes = [(t.number, t.status, json_text(t.scores), t.reason, t.seconds, json_text(t.facts)) for t in ended]
        with self._transaction(self._durable and bool(proposals)):
            self._connection.executemany("INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", proposals)
            self._connection.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", outcomes)

    def sync(self) -> None:
        """Returns once all that was added is on the disk, where the study is durable."""
        if self._durable:
            with _told(self.name):
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        with _told(self.name):
            self._connection.close()
            if self._lock is not None:
                self._lock.close()

    @contextlib.contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
        """All or nothing. What is not durable is lost with the power, never with the process."""
        with _told(self.name):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise

    def _value(self, query: str) -> Any:
        return self._connection.execute(query).fetchone()[0]


def nothing_in(folder: str | os.PathLike[str]) -> EinError:
    return fail("E858", f"there is no study in `{os.fspath(folder)}`", help="`ein search … --out DIR` begins one")


def json_text(value: Any) -> str:
    """Canonical JSON of plain data; numbers that JSON does not have become null. Raises TypeError for other data."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _trial(row: tuple[Any, ...]) -> Trial:
    outcome = () if row[10] is None else (row[10], json.loads(row[11]), row[12], row[13], json.loads(row[14]))
    return Trial(*row[:10], *outcome)


def _read_only(path: Path) -> sqlite3.Connection:
    """A reader that may write to the folder tidies up after a writer that was killed.

    Where it may not, SQLite opens a closed study only when told that it will not change.
    """
    uri = f"file:{quote(str(path.absolute()))}"
    connection = sqlite3.connect(f"{uri}?mode=rw", uri=True, isolation_level=None, timeout=10.0)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():
            raise
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection


def _locked(folder: Path) -> sqlite3.Connection:
    """Held until closed, and by no process that was killed: the lock is SQLite's own, on a file beside the study."""
    lock = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=0.2)
    try:
        lock.execute("BEGIN IMMEDIATE")
        lock.execute("CREATE TABLE IF NOT EXISTS writer (process TEXT)")
        lock.execute("DELETE FROM writer")
        lock.execute("INSERT INTO writer VALUES (?)", (f"process {os.getpid()} on {socket.gethostname()}",))
        lock.execute("COMMIT")
        lock.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not str(error).startswith("database is locked"):
            raise
        who = _writer(lock)
        help = "wait until it ends, or choose another folder; a study can be read while it is written"
        raise fail("E854", f"{who} is writing to the study in `{folder}`", help=help) from None
    return lock


def _writer(lock: sqlite3.Connection) -> str:
    try:
        found = lock.execute("SELECT process FROM writer").fetchone()
    except sqlite3.Error:
        found = None
    finally:
        lock.close()
    return str(found[0]) if found else "another process"


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors of the file, the disk and the contents, as one message."""
    try:
        yield
    except EinError:
        raise
    except sqlite3.OperationalError as error:
        help = "see to space and permission there; all that was recorded is kept, and --resume goes on from it"
        raise fail("E855", f"`{name}` cannot be read or written: {error}", help=help) from None
    except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
        if "not a database" in str(error):
            raise fail("E850", f"`{name}` is not a study of ein", help="name the folder of a study") from None
        help = "restore the folder from a copy, or begin a new study in another"
        raise fail("E851", f"`{name}` is damaged: {error}", help=help) from None
    except OSError as error:
        raise fail("E605", f"`{error.filename or name}`: {error.strerror}") from None
