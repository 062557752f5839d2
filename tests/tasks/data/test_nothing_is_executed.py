"""What a team reads (data files, base models) is data: whatever code it carries is never run."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import DataError, RecipeError
from tasks.data.sources import Source, find_sources, read
from tasks.model.base_model import BaseModelSettings, find_model, write_model
from tasks.model.loading import load_tokenizer, load_weights
from tests.support.tiny_model import tiny_model


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it was run"


def trapped(mark: Path, protocol: int) -> pa.Table:
    """A table whose column claims to be a Python extension type, which old pyarrow unpickled on reading.

    protocol: pickle's; 0 is ASCII, as the metadata of a file should be, and later ones are not even text.
    """
    pickled = pickle.dumps(Trap(mark), protocol)
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickled}
    field = pa.field("prompt", pa.string(), metadata=extension)
    return pa.table({"prompt": ["a"], "completion": ["b"]}, pa.schema([field, pa.field("completion", pa.string())]))


def test_the_trap_works(mark: Path) -> None:
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.stream.arrow", "folder"])
def test_no_data_file_is_unpickled(tmp_path: Path, mark: Path, name: str, protocol: int) -> None:
    table, target = trapped(mark, protocol), tmp_path / name
    if name == "x.parquet":
        pq.write_table(table, target)
    elif name == "folder":
        target.mkdir()
        state = {
            "_data_files": [{"filename": "data.arrow"}],
            "_fingerprint": "x",
            "_format_columns": None,
            "_split": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
        }
        (target / "state.json").write_text(json.dumps(state))
        value = {"dtype": "string", "_type": "Value"}
        (target / "dataset_info.json").write_text(json.dumps({"features": {"prompt": value, "completion": value}}))
        with pa.ipc.new_stream(target / "data.arrow", table.schema) as writer:
            writer.write_table(table)
    else:
        kind = pa.ipc.new_stream if "stream" in name else pa.ipc.new_file
        with kind(target, table.schema) as writer:
            writer.write_table(table)
    files = find_sources([Source(path=name)], tmp_path)
    if protocol:
        with pytest.raises(DataError, match=r"readable|can be read"):
            list(read(files[0]))
    else:
        assert [record.value for record in read(files[0])] == [{"prompt": "a", "completion": "b"}]
    assert not mark.exists()


def test_a_pickle_is_no_data_file(tmp_path: Path, mark: Path) -> None:
    for name in ("x.pkl", "x.jsonl", "x.parquet"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(mark)))
        with pytest.raises(DataError):
            list(read(find_sources([Source(path=name)], tmp_path)[0]))
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["llama", "unheard_of"])
def test_a_base_model_runs_no_code_of_its_own(tmp_path: Path, mark: Path, kind: str) -> None:
    folder = tiny_model(tmp_path / "model", ["a b c"])
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": kind, "auto_map": own}))
    for load in (load_tokenizer, load_weights):  # as every step loads them
        try:
            load(folder)
        except ValueError:
            assert kind == "unheard_of"
    assert not mark.exists()


def test_a_base_model_that_needs_code_of_its_own_is_refused_when_it_is_fetched_and_no_code_is_kept(
    tmp_path: Path, mark: Path
) -> None:
    folder = tiny_model(tmp_path / "model", ["a b c"])
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    settings = BaseModelSettings(source=str(folder))
    write_model(tmp_path / "plain", settings, find_model(settings, tmp_path))
    assert not [*(tmp_path / "plain").glob("*.py")]
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of", "auto_map": own}))
    with pytest.raises(RecipeError, match="needs Python code of its own") as caught:
        write_model(tmp_path / "odd", settings, find_model(settings, tmp_path))
    assert "is never run" in caught.value.todo
    assert not mark.exists()


def test_no_code_here_trusts_code_from_elsewhere() -> None:
    root = Path(__file__).parents[3]
    files = [file for folder in ("flows", "tasks", "infra", "data_contracts") for file in (root / folder).rglob("*.py")]
    assert len(files) > 100
    texts = {str(file): file.read_text() for file in files}
    assert not [name for name, text in texts.items() if re.search(r"trust_remote_code=(?!False)", text)]
    # Without it transformers asks on the terminal, in the middle of a run.
    loads = re.compile(r"\b(?:Auto\w+|kind)\.from_pretrained\((?![^)]*trust_remote_code=False)")
    assert not [name for name, text in texts.items() if loads.search(text)]
