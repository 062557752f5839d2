"""Encodings: one that is stated is read, one that is not is guessed in the message and never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.core.errors import DataError
from tasks.core.ledger import Outcome
from tasks.core.row_kind import SFT
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.data.encodings import guess_encoding, is_text_encoding

TEXTS = {
    "cp1252": ["Die Lampe flackert, können Sie helfen? Grüße", "Le café est arrivé cassé, où est le reçu ?", "¿Dónde?"],
    "cp1250": ["Gdzie są moje łyżki? Proszę o odpowiedź", "Kde je můj stůl? Ještě nepřišel, děkuji"],
    "cp1251": ["Где моя лампа? Она мигает."],
    "koi8-r": ["Где моя лампа? Она мигает."],
    "cp1253": ["Πού είναι η λάμπα μου;"],
    "cp1254": ["Lamba çalışmıyor, ne yapmalıyım? Teşekkürler"],
    "cp1255": ["איפה המנורה שלי?"],
    "cp1256": ["أين المصباح الخاص بي؟"],
    "shift_jis": ["ランプが届きません。いつ届きますか。"],
    "euc_kr": ["램프가 깜박입니다. 어떻게 하나요?"],
    "gb18030": ["我的灯坏了，怎么办？"],
    "big5": ["我的檯燈壞了，怎麼辦？"],
    "mac_roman": ["Die Lampe flackert, können Sie helfen? Grüße"],
    "cp850": ["Die Lampe flackert, können Sie helfen? Grüße"],
    "utf-16-le": ["Where is my lamp?"],
    "utf-16-be": ["Where is my lamp?"],
}
CASES = [(encoding, text) for encoding, texts in TEXTS.items() for text in texts]


def one(folder: Path, data: bytes, name: str = "rows.csv", **stated: str) -> Outcome:
    (folder / name).write_bytes(data)
    return ingest(find_sources([Source.model_validate({"path": name, **stated})], folder), IngestSettings(), SFT)


@pytest.mark.parametrize(("encoding", "text"), CASES)
def test_an_encoding_is_guessed_by_the_letters_of_its_languages(encoding: str, text: str) -> None:
    assert guess_encoding(f'"{text}","ok"\n'.encode(encoding)) == encoding


@pytest.mark.parametrize("data", [b"", b"plain", "Grüße, 荷物".encode(), b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4])
def test_of_what_is_utf_8_or_no_text_nothing_is_guessed(data: bytes) -> None:
    assert guess_encoding(data) == ""


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json"])
def test_a_stated_encoding_is_read_in_every_text_format(tmp_path: Path, name: str) -> None:
    row = {"prompt": "Wo ist die Lampe?", "completion": "Sie kommt übermorgen."}
    table = ("\t" if name == "rows.tsv" else ";").join
    text = json.dumps(row, ensure_ascii=False) if "json" in name else f"{table(row)}\n{table(row.values())}\n"
    outcome = one(tmp_path, text.encode("cp1252"), name, encoding="cp1252")
    assert [said["content"] for said in outcome.kept["messages"][0]] == list(row.values())
    assert outcome.kept["line"].to_list() == [1 if "json" in name else 2]


def test_a_row_that_is_not_utf_8_is_held_and_told_what_it_looks_like(tmp_path: Path) -> None:
    outcome = one(tmp_path, "prompt;completion\nplain;row\nWo?;Drüben, grüßt Ada\n".encode("cp1252"))
    assert outcome.ledger.select("line", "reason").rows() == [(3, "not UTF-8")]
    assert "encoding: cp1252" in json.loads(outcome.ledger["evidence"][0])["todo"]


def test_of_a_file_whose_other_rows_are_utf_8_no_other_encoding_is_told(tmp_path: Path) -> None:
    data = "prompt;completion\nWo?;Drüben\n".encode() + "Wann?;Übermorgen\n".encode("cp1252")
    assert one(tmp_path, data).ledger.select("line", "reason", "evidence").rows() == [(3, "not UTF-8", "{}")]


def test_what_is_not_of_the_stated_encoding_is_held_under_its_name(tmp_path: Path) -> None:
    outcome = one(tmp_path, b"prompt,completion\na,b\nc,\xff\n", encoding="ascii")
    assert outcome.ledger.select("line", "reason").rows() == [(3, "not ascii, as the recipe states")]


@pytest.mark.parametrize(
    ("name", "encoding"), [("x.csv", "utf-16-le"), ("x.jsonl", "utf-16-le"), ("x.csv", "cp1252"), ("x.tsv", "cp1251")]
)
def test_a_file_refused_as_a_whole_is_told_what_it_looks_like(tmp_path: Path, name: str, encoding: str) -> None:
    head = {"cp1252": "prompt,größe", "cp1251": "вопрос\tответ"}.get(encoding, "prompt,completion")
    text = '{"prompt": "a", "completion": "b"}\n' if name == "x.jsonl" else f"{head}\na,b\n"
    with pytest.raises(DataError) as error:
        one(tmp_path, text.encode(encoding), name)
    assert f"encoding: {encoding}" in error.value.todo


def test_a_file_without_letters_has_no_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no encoding"):
        one(tmp_path, b"PAR1 and no more", "x.parquet", encoding="cp1252")
    assert is_text_encoding("cp1252")
    assert not is_text_encoding("hex")
