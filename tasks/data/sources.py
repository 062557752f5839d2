"""Sources: find the files and queries that the recipe names, with their digests, and read them.

A file on disk or behind an fsspec URL is digested where it lies. A query is asked once, when it is found
(tasks/data/sql.py): what it gave is kept below ASSAY_HOME and read from there, so that a database in use cannot change
under a run.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.core.allowed_folders import check_inside
from tasks.core.errors import DataError
from tasks.core.home import digest_bytes
from tasks.core.urls import ENV, WEB, check_address, hidden, is_address, public
from tasks.data.encodings import is_text_encoding, state_encoding
from tasks.data.formats.adapter import Reading
from tasks.data.readers import frame_records, is_read_by_line, read_lines, read_records
from tasks.data.records import Record, refused
from tasks.data.sql import check_database, keep_rows, query_name
from tasks.data.storage import cause, digest, opened, outside, url_of

HEAD = 1 << 16  # bytes of a file that tell what it is


class Source(Reading):
    """Where rows come from, a path or a query; in YAML a plain string is its path."""

    # A file, a glob (** for any depth), a folder written by datasets.save_to_disk, or a URL of one (s3://, gs://,
    # https://). A URL that needs a password or a key (?token=...) stands in an environment variable and is written
    # env:NAME: one file or folder, known by its scheme, host and path. In a URL no ? is allowed, also not for a glob: a
    # key would stand there.
    path: str = ""
    # The column names of a text table that has no line of them. Without an ending that says otherwise it is read as
    # TSV.
    header: tuple[str, ...] = ()
    # In what a text file is encoded, by Python's name for it (cp1252, shift_jis, utf-16-le); empty: UTF-8.
    encoding: str = ""
    # A query in the place of a path, and the database to put it to: postgresql://, sqlite:///, or env:NAME as above.
    sql: str = ""
    database: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, dict):  # strict mode wants tuples after a `before`
            lists = [name for name in ("header", "question", "metadata") if isinstance(value.get(name), list)]
            value = {**value, **{name: tuple(value[name]) for name in lists}}
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _makes_sense(self) -> Source:
        if bool(self.path) == bool(self.sql):
            raise ValueError("a source has a path or sql; give one of them")
        if bool(self.sql) != bool(self.database):
            raise ValueError("sql and database belong together; give both or neither")
        if self.header and (self.sql or len(set(self.header)) < len(self.header) or not all(self.header)):
            raise ValueError("header names the columns of a text table, each by a name of its own")
        if self.encoding and (self.sql or not is_text_encoding(self.encoding)):
            raise ValueError("encoding is a text file's, by Python's name for it: cp1252, shift_jis, utf-16-le, ...")
        if bool(self.question) != bool(self.answer) or (self.rejected and not self.question):
            raise ValueError("question and answer name two columns; give both or neither, and rejected only with them")
        if self.good_from is not None and not self.rating:
            raise ValueError("good_from is of a rating; name the column in rating")
        check_database(self.database)
        check_address(self.path)
        return self

    @property
    def reading(self) -> Reading:
        """What of it says how records are to be understood."""
        return Reading(**{name: getattr(self, name) for name in Reading.model_fields})


class RawFile(BaseModel):
    """What was found. location stays out of the cache key: same bytes under the same name, same input."""

    model_config = ConfigDict(frozen=True)

    name: (
        str  # as the ledger tells it: relative to the recipe's folder, a URL's public part, or a query and its database
    )
    digest: str  # sha256 of the file, or of a folder's sorted (name, sha256) pairs
    reading: Reading = Field(default_factory=Reading)
    header: tuple[str, ...] = ()
    encoding: str = ""
    location: str = Field(exclude=True, repr=False)  # absolute path, URL, or env:NAME


def find_sources(sources: Sequence[Source], base: Path) -> list[RawFile]:
    """The files behind the recipe's sources, each once, sorted by name, with their digests; queries are asked and kept.

    base: the folder that relative paths start from. Raises DataError for a path that matches nothing, a query that
    cannot be answered, and a file named twice in two ways; OutsideError when a store or a database does not answer.
    """
    found: dict[str, RawFile] = {}
    for source in sources:
        for file in _found(source, base):
            if found.setdefault(file.name, file) != file:
                raise DataError(
                    f"{file.name} is named twice, to be read in two ways or by two URLs that differ behind their ?.",
                    where="recipe: data",
                    allowed="each file in one way",
                    todo="take one of the two out, or narrow the glob",
                )
    return [found[name] for name in sorted(found)]


def _found(source: Source, base: Path) -> Iterator[RawFile]:
    how: dict[str, Any] = {"reading": source.reading, "header": source.header, "encoding": source.encoding}
    if source.sql:
        file, sha256 = keep_rows(source.sql, source.database, base)
        yield RawFile(name=query_name(source.sql, source.database), digest=sha256, location=str(file), **how)
        return
    for location in _expand(source.path, base):
        _stay_inside(url_of(location))
        name = _name(location, source.path, base)
        yield RawFile(name=name, digest=digest(location, name), location=location, **how)


def _stay_inside(url: str) -> None:
    """Raise RecipeError for a local file outside ASSAY_RECIPES, also one behind fsspec's own words (file://,
    zip://a::/b).
    """
    protocol, _, path = url.rpartition("::")[2].rpartition("://")
    if protocol in ("", "file", "local"):
        check_inside(Path(path), "recipe: data")


def read(file: RawFile) -> Iterator[Record]:
    """The records of a file. Raises DataError when it cannot be trusted as a whole, OutsideError when a store fails."""
    try:
        yield from _read(file)
    except DataError as error:
        if file.encoding or not (likely := state_encoding(_head(file))):
            raise
        todo = f"{error.todo}; {likely}"
        raise DataError(error.what, where=error.where, allowed=error.allowed, todo=todo) from error


def _head(file: RawFile) -> bytes:
    """The first bytes of a file; none of a folder."""
    fs, path = opened(file.location)
    with outside(file.location, file.name):
        return b"" if fs.isdir(path) else fs.head(path, HEAD)


def _read(file: RawFile) -> Iterator[Record]:
    fs, path = opened(file.location)
    with outside(file.location, file.name):
        folder = fs.isdir(path)
        if (
            not folder
            and not file.encoding
            and not is_address(file.location)
            and is_read_by_line(file.name, fs.head(path, HEAD), file.header)
        ):
            return read_lines(file.name, _lines(file, path))
        found, data = (digest(file.location, file.name), b"") if folder else _bytes(fs, path)
    _check_unchanged(file, found)
    return _dataset(file) if folder else read_records(file.name, data, file.header, file.encoding)


def _lines(file: RawFile, path: str) -> Iterator[bytes]:
    """The lines of a file on disk, which is never held as a whole. That it has not changed shows when the last one is
    read.
    """
    state = hashlib.sha256()
    with outside(file.location, file.name), open(path, "rb") as lines:
        for line in lines:
            state.update(line)
            yield line
    _check_unchanged(file, state.hexdigest())


def _check_unchanged(file: RawFile, found: str) -> None:
    if found != file.digest:
        raise refused(file.name, "has changed since this run began", "run again when nothing writes to it any more")


def _bytes(fs: Any, path: str) -> tuple[str, bytes]:
    data: bytes = fs.cat_file(path)
    return digest_bytes(data), data


def _dataset(file: RawFile) -> Iterator[Record]:
    import datasets

    datasets.disable_progress_bars()
    url = url_of(file.location)
    with outside(file.location, file.name):
        try:
            dataset = datasets.load_from_disk(url)
            rows = pl.DataFrame(dataset.with_format("arrow")[:])  # its own way to Polars cannot read columns of JSON
        except (OSError, ValueError, KeyError, pl.exceptions.PanicException) as error:
            problem = f"is no dataset folder that can be read ({hidden(str(error), url)})"
            raise refused(file.name, problem, "write it again") from cause(error, url)
    return frame_records(rows, dataset.features.to_dict())


def _expand(path: str, base: Path) -> list[str]:
    """Absolute locations behind a path, sorted. A name that is there as it stands is no glob, nor
    is env:NAME ever one.
    """
    location = path if is_address(path) else os.path.normpath(base.absolute() / Path(path).expanduser())
    fs, inside = opened(location)
    shown = public(url_of(path))
    with outside(location, shown):
        if fs.isdir(inside):
            _check_folder(fs, inside, shown)
        elif fs.exists(inside):
            pass
        elif (
            not path.startswith(ENV)
            and glob.has_magic(inside)
            and (found := sorted(filter(fs.isfile, fs.glob(inside))))
        ):
            return [str(fs.unstrip_protocol(one)) if is_address(path) else os.path.normpath(one) for one in found]
        else:
            raise FileNotFoundError(inside)
    return [location]


def _check_folder(fs: Any, inside: str, path: str) -> None:
    """A folder must be one dataset. Its splits are never merged: a test split in the training rows is leakage."""
    names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in fs.ls(inside, detail=False)}
    if "dataset_dict.json" in names:
        splits = sorted(names - {"dataset_dict.json"})
        todo = f"name one: {path.rstrip('/')}/{splits[0] if splits else 'train'}"
        raise refused(path, f"holds several splits ({', '.join(splits)})", todo)
    if "state.json" not in names:
        todo = f"name the files in it: {path.rstrip('/')}/*.jsonl"
        raise refused(path, "is a folder, but none that datasets.save_to_disk wrote", todo)


def _name(location: str, path: str, base: Path) -> str:
    """Relative to the recipe's folder; as it was written when it lies elsewhere by an absolute path or URL.

    Of env:NAME the public part of its URL, and of a web page's list of files too, where they may be listed with keys.
    """
    if is_address(path):
        return public(url_of(location)) if location.startswith((ENV, *WEB)) else location
    inside = Path(location).is_relative_to(base.absolute())
    absolute = Path(path).expanduser().is_absolute()
    return Path(location if absolute and not inside else os.path.relpath(location, base.absolute())).as_posix()
