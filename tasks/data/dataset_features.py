"""Values of a table as they are meant: class labels by name, JSON decoded, bytes as text, at whatever depth they stand.

Hugging Face datasets writes what a column means beside it ("features"): in Parquet and Arrow files, and in folders.
Since version 5 a column of mixed values is JSON in a string, Arrow's extension type `arrow.json`. A text may also be
bytes: a BLOB of a database, a binary column of Parquet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

Decode = Callable[[Any], Any]
JSON_EXTENSION = "arrow.json"  # https://arrow.apache.org/docs/format/CanonicalExtensions.html
LISTS = ("List", "LargeList", "Sequence")  # datasets' own names of a list


class RepeatedKeyError(ValueError):
    """An object has a key twice. Readers of JSON take one of its values, which one differs."""

    def __init__(self, key: str) -> None:
        super().__init__(f"a key comes twice: {key}")
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise RepeatedKeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return value


# Made once: making it costs more than reading a short row.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None, object_pairs_hook=_object)


def parse_json(text: str) -> Any:
    """JSON; NaN and Infinity, which Python writes and JSON lacks, become null. Raises ValueError, RepeatedKeyError for
    a key that comes twice in an object.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def decoders(schema: Mapping[str, pl.DataType], features: Mapping[str, Any]) -> dict[str, Decode]:
    """How the values of each column are decoded; columns whose values are what they say are left out.

    features: of a dataset, as datasets writes them in JSON; empty for a table by anybody else.
    """
    found = {name: _decoder(dtype, features.get(name)) for name, dtype in schema.items()}
    return {name: decode for name, decode in found.items() if decode}


def features_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What datasets wrote of the columns into the metadata of a table's schema."""
    written = json.loads(metadata.get("huggingface", "{}"))
    info = written.get("info") if isinstance(written, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    return features if isinstance(features, dict) else {}


def _decoder(dtype: pl.DataType, feature: Any) -> Decode | None:
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Json" or (isinstance(dtype, pl.Extension) and dtype.ext_name() == JSON_EXTENSION):
        return _decoded_json
    if kind == "ClassLabel" and feature.get("names"):
        return _names_of(list(feature["names"]))
    if isinstance(dtype, pl.Binary):
        return _text_of
    if isinstance(dtype, pl.List | pl.Array):
        return _of_list(_decoder(_instance(dtype.inner), _element_of(feature)))
    if isinstance(dtype, pl.Struct):
        fields = feature if isinstance(feature, dict) else {}
        inner = fields.get("feature")
        if kind in LISTS and isinstance(inner, dict):  # of structs, which datasets stores as a struct of lists
            fields = {name: {"_type": "List", "feature": of} for name, of in inner.items()}
        return _of_struct(decoders({field.name: _instance(field.dtype) for field in dtype.fields}, fields))
    return None


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made


def _element_of(feature: Any) -> Any:
    """datasets writes a list as [feature] too."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, dict) else None


def _decoded_json(value: Any) -> Any:
    """What is no JSON stands as it is."""
    try:
        return parse_json(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _names_of(names: list[str]) -> Decode:
    """A number without a name (-1 says that there is no label) becomes null; what is a name already stays."""

    def decode(value: Any) -> Any:
        if isinstance(value, int):
            return names[value] if 0 <= value < len(names) else None
        return value

    return decode


def _text_of(value: Any) -> Any:
    """What is not UTF-8 becomes lone surrogates, by which the record is known later (readers.py)."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _of_list(decode: Decode | None) -> Decode | None:
    return decode and (lambda value: value if value is None else [decode(one) for one in value])


def _of_struct(fields: dict[str, Decode]) -> Decode:
    """Without what is null: a struct has the keys of all others of its column, so that a tool's parameters would have
    those of every tool. A null within JSON is one that somebody wrote.
    """

    def decode(value: Any) -> Any:
        return value and {
            name: fields[name](one) if name in fields else one for name, one in value.items() if one is not None
        }

    return decode
