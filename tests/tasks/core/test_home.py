"""Artifacts are named by what is in them: damage is seen and mended, and nothing half-made is ever visible."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import AssayError
from tasks.core.handle import Handle
from tasks.core.home import TOLD, commit, digest_json, digest_path, home, home_folder, new_artifact


def made(text: str = "rows", told: str = "{}", *, work: str = "clean-1") -> tuple[Path, str]:
    with new_artifact(work) as place:
        (place / "rows.txt").write_text(text)
        (place / TOLD).write_text(told)
        return commit(place, "clean")


def test_the_same_content_has_one_place_and_other_content_another() -> None:
    assert made() == made(work="clean-2")
    assert made("other")[0] != made()[0]
    assert len(list((home() / "artifacts" / "clean").iterdir())) == 2


def test_what_is_told_names_nothing_and_the_last_run_has_the_word() -> None:
    first, again = made(told='{"seconds": 1}'), made(told='{"seconds": 2}')
    assert first == again
    assert (first[0] / TOLD).read_text() == '{"seconds": 2}'


def test_a_damaged_artifact_is_replaced_when_it_is_made_again() -> None:
    final, digest = made()
    (final / "rows.txt").write_text("bitten")
    (final / "stray.txt").write_text("not mine")
    assert made() == (final, digest)
    assert digest_path(final) == digest


def test_work_that_fails_leaves_nothing() -> None:
    def fails() -> None:
        with new_artifact("clean-1") as place:
            (place / "half.txt").write_text("half")
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        fails()
    assert list((home() / "artifacts" / ".new").iterdir()) == []


def test_what_a_killed_process_left_is_cleared_when_the_work_is_done_again() -> None:
    (home_folder("artifacts/.new/clean-1") / "half.txt").write_text("half")
    final, _ = made()
    assert sorted(file.name for file in final.iterdir()) == ["rows.txt", TOLD]


def test_many_at_once_commit_one_artifact() -> None:
    results: list[tuple[Path, str]] = []
    threads = [threading.Thread(target=lambda n=n: results.append(made(work=f"clean-{n}"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


def test_a_digest_sees_names_contents_and_folders_but_not_the_order_of_writing(tmp_path: Path) -> None:
    def tree(name: str, files: dict[str, str]) -> str:
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return digest_path(tmp_path / name)

    one = tree("one", {"a/x": "1", "b": "2"})
    assert tree("two", {"b": "2", "a/x": "1"}) == one
    others = [{"a/x": "2", "b": "1"}, {"x": "1", "b": "2"}, {"a/x": "1"}, {"a/x": "1", "b": "2", "c": ""}]
    assert one not in [tree(f"other {i}", files) for i, files in enumerate(others)]


@given(st.dictionaries(st.text(), st.integers()))
def test_a_digest_of_json_does_not_know_the_order_of_keys(value: dict[str, int]) -> None:
    assert digest_json(dict(reversed(value.items()))) == digest_json(value)


def test_a_home_that_cannot_be_written_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("ASSAY_HOME", str(home / "file"))
    with pytest.raises(AssayError, match="set ASSAY_HOME to another folder") as caught:
        home_folder("artifacts")
    assert str(home / "file") in caught.value.where


def test_a_home_can_be_moved_and_a_handle_still_finds_its_files(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, digest = made()
    handle = Handle.of(final, step="clean", kind="rows", digest=digest)
    assert not Path(handle.path).is_absolute()
    moved = home.rename(tmp_path / "moved")
    monkeypatch.setenv("ASSAY_HOME", str(moved))
    assert digest_path(handle.folder) == digest
