"""A URL with a key is opened whole, and known and told by its public part alone, whatever its server answers."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.errors import AssayError, DataError, OutsideError, RecipeError
from tasks.curation.ingest import IngestSettings, RawFile, Source, find_sources, ingest
from tests.support.keyed_server import KEY, NEXT_KEY, keyed

ROW = json.dumps({"prompt": "Where?", "completion": "There."}) + "\n"
SECRETS = ("hunter2", "hunter3")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(ROW)
    with keyed(folder) as host:
        yield host


def find(path: str = "env:EXPORT") -> list[RawFile]:
    return find_sources([Source(path=path)], Path.cwd())


@pytest.mark.parametrize("url", [f"http://{{host}}/rows.jsonl?key={KEY}#x", f"http://clerk:{KEY}@{{host}}/rows.jsonl"])
def test_rows_behind_a_key_are_read_and_known_by_what_may_be_shown(
    url: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT", url.format(host=host))
    (file,) = files = find()
    kept = ingest(files, IngestSettings()).kept
    assert kept["source"].to_list() == [file.name] == [f"http://{host}/rows.jsonl"]
    assert file.digest == hashlib.sha256(ROW.encode()).hexdigest()
    assert not any(secret in f"{file!r} {file.model_dump()} {kept.to_dicts()}" for secret in SECRETS)


def test_another_key_is_the_same_input(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = []
    for key in (KEY, NEXT_KEY):
        monkeypatch.setenv("EXPORT", f"http://{host}/rows.jsonl?key={key}")
        inputs.append([file.model_dump(mode="json") for file in find()])
    assert inputs[0] == inputs[1]


def test_what_a_page_lists_with_keys_is_known_without_them(host: str) -> None:
    (file,) = files = find(f"http://{host}/list/*")
    assert KEY in file.location
    assert ingest(files, IngestSettings()).kept["source"].to_list() == [f"http://{host}/list/rows.jsonl"]
    assert KEY not in repr(file)


REFUSALS = {"broken": "500.*opens nothing", "locked": "403.*opens nothing", "gone": "Cannot connect"}


@pytest.mark.parametrize(("place", "words"), REFUSALS.items())
def test_a_server_that_refuses_or_is_away_is_told_without_the_key(
    place: str, words: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "127.0.0.1:9" if place == "gone" else host  # the discard port: nothing listens
    monkeypatch.setenv("EXPORT", f"http://{where}/{place}/rows.jsonl?key={KEY}")
    found = RawFile(name=f"http://{where}/{place}/rows.jsonl", digest="0", location="env:EXPORT")
    for ask in (find, lambda: ingest([found], IngestSettings())):
        with pytest.raises(OutsideError, match=f"{found.name} did not answer: .*{words}") as error:
            ask()
        assert not any(secret in "".join(traceback.format_exception(error.value)) for secret in SECRETS)


def test_a_store_that_is_called_when_it_is_named_is_told_in_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT", f"ftp://clerk:{KEY}@127.0.0.1:9/rows.jsonl")
    with pytest.raises(OutsideError, match=r"ftp://127\.0\.0\.1:9/rows\.jsonl did not answer: .*refused") as error:
        find()
    assert not any(secret in "".join(traceback.format_exception(error.value)) for secret in SECRETS)


def test_a_file_that_is_not_there_is_told_without_the_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT", f"http://{host}/missing.jsonl?key={KEY}")
    with pytest.raises(DataError, match=f"There is no file at http://{host}/missing.jsonl") as error:
        find()
    assert not any(secret in "".join(traceback.format_exception(error.value)) for secret in SECRETS)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "EXPORT is not set"),
        ("hunter2", "EXPORT holds no URL"),
        ("nosuch://a/b?key=hunter2", "cannot be opened"),
        ("file:///nowhere/rows.jsonl?key=hunter2", "There is no file at file:///nowhere/rows.jsonl"),
        ("simplecache::nosuch://clerk:hunter2@a/rows.jsonl", "cannot be opened"),
    ],
)
def test_a_variable_that_leads_nowhere_is_refused_with_a_way_out(
    value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT", value)
    with pytest.raises(DataError, match=told) as error:
        find()
    assert error.value.todo
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_a_variable_does_not_lead_out_of_the_folders_that_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "rows.jsonl").write_text(ROW)
    monkeypatch.setenv("EXPORT", (tmp_path / "rows.jsonl").as_uri())
    assert find()
    monkeypatch.setenv("ASSAY_RECIPES", str(tmp_path / "allowed"))
    with pytest.raises(RecipeError, match="outside the folders"):
        find()


def test_two_urls_that_differ_behind_their_question_mark_are_not_taken_for_one_file(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT", f"http://{host}/rows.jsonl?key={KEY}&page=1")
    monkeypatch.setenv("OTHER", f"http://{host}/rows.jsonl?key={KEY}&page=2")
    with pytest.raises(AssayError, match="by two URLs that differ"):
        find_sources([Source(path="env:EXPORT"), Source(path="env:OTHER")], tmp_path)
