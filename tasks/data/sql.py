"""Run a SQL query as a source: once, by Polars' database reader, read-only; its rows kept as JSONL named by their
content.

The rows are sorted, because a database promises no order, so the same rows give the same file and the same digest. A
URL with a password or settings comes from an environment variable (tasks/core/urls.py), whose name alone is written.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from tasks.core.allowed_folders import check_inside
from tasks.core.errors import AssayError, DataError, OutsideError
from tasks.core.home import digest_bytes, home_folder
from tasks.core.urls import ENV, check_address, hidden, resolved
from tasks.data.readers import frame_records

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

SHOWN = 80  # characters of a query that name it
CONNECT_SECONDS = 10  # PostgreSQL's client waits for ever by default
WHERE = "recipe: data"
ALLOWED = "postgresql://user@host/name, sqlite:///file.db, or env:NAME"


def check_database(database: str) -> None:
    """Raise ValueError for what is no database's URL, and for a password where everybody can read it."""
    check_address(database)
    if not database or database.startswith(ENV):
        return
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(database)
    except (ArgumentError, ValueError):
        raise ValueError(f"database is no URL; allowed: {ALLOWED}") from None


def query_name(sql: str, database: str) -> str:
    """What the ledger calls a query: the database as the recipe names it, and the query on one line."""
    line = " ".join(sql.split())
    return f"{database}: {line if len(line) <= SHOWN else f'{line[:SHOWN]} ... ({digest_bytes(line.encode())[:8]})'}"


def keep_rows(sql: str, database: str, base: Path) -> tuple[Path, str]:
    """Ask the query and keep what it gives. Returns the JSONL file, sorted, and its sha256.

    base: the folder that the relative path of an SQLite file starts from. Raises DataError for a query the database
    refuses or that gives no row, OutsideError when the database does not answer.
    """
    frame = _rows(sql, database, base)
    if not frame.height:
        raise _problem(sql, database, "The query gave no row.", "at least one row", "put it to the database by hand")
    records = (record.value for record in frame_records(frame))
    lines = sorted(json.dumps(value, ensure_ascii=False, default=str) for value in records)
    data = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    digest = digest_bytes(data)
    file = home_folder("queries") / f"{digest}.jsonl"
    if not file.exists():
        new = file.with_name(f"{digest}.{os.getpid()}.new")
        new.write_bytes(data)
        os.replace(new, file)
    return file, digest


def _rows(sql: str, database: str, base: Path) -> pl.DataFrame:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    url = _url(sql, database, base)
    waiting = {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() == "postgresql" else {}
    try:
        connection = create_engine(url, poolclass=NullPool, connect_args=waiting).connect()
    except DBAPIError as error:
        raise _unreached(sql, database, url, error) from None
    except (NoSuchModuleError, ImportError) as error:
        raise _problem(
            sql, database, f"There is no driver for the database: {error}.", ALLOWED, "install it"
        ) from error
    with connection:
        try:
            _for_reading(connection)
            # Not the session's, which may differ.
            utc = pl.selectors.datetime(time_zone="*").dt.convert_time_zone("UTC")
            return pl.read_database(_escaped(sql), connection, infer_schema_length=None).with_columns(utc)
        except DBAPIError as error:
            gone = error.connection_invalidated or type(error.orig).__name__ == "OperationalError"
            if gone and ("locked" in str(error.orig) or url.get_backend_name() != "sqlite"):
                raise _unreached(sql, database, url, error) from None
            told = f"The database refuses the query: {_told(error, url)}."
            raise _problem(
                sql, database, told, "one query that only reads", "correct it; try it by hand first"
            ) from None
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            told = f"The query's rows make no table: {error}."
            todo = "give each column a name of its own and one type, by CAST in the query"
            raise _problem(sql, database, told, "columns of one type each", todo) from error


def _for_reading(connection: Connection) -> None:
    """A transaction that cannot write; and JSON columns as text, as SQLite and every table has them."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(postgresql_readonly=True)
    if connection.dialect.driver == "psycopg":
        from psycopg.types.json import set_json_loads

        driver: Any = connection.connection.driver_connection
        set_json_loads(lambda text: text if isinstance(text, str) else bytes(text).decode(), driver)


def _url(sql: str, database: str, base: Path) -> URL:
    """The URL to connect to: psycopg for PostgreSQL, which SQLAlchemy would not take by itself; SQLite's file
    read-only.
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(resolved(database).replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        raise _problem(sql, database, "What names the database is no URL.", ALLOWED, "correct it") from None
    except ValueError as error:
        todo = (
            f"export {database.removeprefix(ENV)}=postgresql://..., where the run is started and where a worker runs it"
        )
        raise _problem(sql, database, f"{error}.", ALLOWED, todo) from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        return url
    file = check_inside(base.absolute() / Path(url.database or "").expanduser(), WHERE)
    if not file.is_file():
        raise _problem(sql, database, f"There is no SQLite file at {url.database}.", ALLOWED, "correct the path")
    return URL.create("sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})


def _escaped(sql: str) -> str:
    """The query as it is: without this, SQLAlchemy takes the :1 in '{"a":1}' for a parameter."""
    return re.sub(r"(?<![:\w\\]):(?=\w+(?!:))", r"\\:", sql)


def _told(error: Any, url: URL) -> str:
    """The database's own words on one line, without the password should they hold it."""
    return hidden(" ".join(str(error.orig).split()).rstrip("."), url.render_as_string(hide_password=False))


def _problem(sql: str, database: str, what: str, allowed: str, todo: str) -> AssayError:
    return DataError(what, where=f"{WHERE}, {query_name(sql, database)}", allowed=allowed, todo=todo)


def _unreached(sql: str, database: str, url: URL, error: Any) -> AssayError:
    return OutsideError(
        f"The database did not answer: {_told(error, url)}.",
        where=f"{WHERE}, {query_name(sql, database)}",
        allowed="a database that can be reached",
        todo="check that it runs, the network, and the user's right to read",
    )
