"""tasks/core/urls.py: what may be a secret in a URL is refused where it would be kept, and shown nowhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import AssayError
from tasks.core.urls import KEYED, check_address, hidden, masked, public, resolved

OPEN = (
    "rows.jsonl",
    "raw/**/*.jsonl",
    "what?.jsonl",
    "s3://bucket/raw/*.jsonl",
    "https://exports.example:8443/@desk/rows.jsonl",
    "http://[::1]:80/rows.jsonl",
    "zip://rows.csv::https://exports.example/rows.zip",
    "simplecache::s3://bucket/rows.csv",
    "abfs://container@account.dfs.core.windows.net/rows.csv",
    "postgresql://clerk@host:5432/shop",
    "sqlite:///shop.db",
    "https://archive.example/2020/https://exports.example/rows.csv",
    "s3://bucket/my rows.csv",
    "env:EXPORT",
    "",
)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_without_a_secret_passes_and_is_shown_as_it_is(address: str) -> None:
    check_address(address)
    assert public(address) == masked(address) == address
    assert not re.search(KEYED, address)


CLOSED = {
    "https://clerk:hunter2@host/rows.csv": "https://host/rows.csv",
    "https://hunter2@host:8443/rows.csv": "https://host:8443/rows.csv",
    "https://host/rows.csv?token=hunter2": "https://host/rows.csv",
    "https://host/rows.csv?a=https://other/&token=hunter2": "https://host/rows.csv",
    "https://host/rows.csv#hunter2": "https://host/rows.csv",
    "https://host/rows.csv?X-Amz-Date=1&X-Amz-Signature=hunter2": "https://host/rows.csv",
    "https://account.blob.core.windows.net/c/rows.csv?sv=2024&sig=hunter2%3D": "https://account.blob.core.windows.net/c/rows.csv",
    "https://host?hunter2": "https://host",
    "https://clerk:hunter2/@host/rows.csv": "https://host/rows.csv",
    "https://clerk-a:hunter2?@host/rows.csv": "https://host/rows.csv",
    "https://clerk:7-hunter2#@host/rows.csv": "https://host/rows.csv",
    "https://clerk:p@hunter2/w@host/rows.csv": "https://host/rows.csv",
    "zip://rows.csv::https://clerk:hunter2@host/rows.zip?token=hunter2": "zip://rows.csv::https://host/rows.zip",
    "ftp://clerk:hunter2@host/rows.csv": "ftp://host/rows.csv",
    "postgresql://me:hunter2@host/shop?sslmode=require": "postgresql://host/shop",
    "postgresql://host/shop?password=hunter2": "postgresql://host/shop",
    "http://clerk:hunter2@[::1]:80/rows.csv": "http://[::1]:80/rows.csv",
}


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_with_what_may_be_a_secret_is_refused_without_it_and_shown_without_it(address: str) -> None:
    with pytest.raises(ValueError, match="write env:NAME") as refused:
        check_address(address)
    assert "hunter2" not in str(refused.value)
    assert public(address) == CLOSED[address]
    assert re.search(KEYED, address)
    told = AssayError(f"got ['{address}', 2]", where=f"x={address}", allowed=address, todo=f"see ({address})")
    assert "hunter2" not in str(told)
    assert CLOSED[address].split("://")[-1] in told.what


def test_each_url_in_a_text_is_masked_and_the_rest_stands() -> None:
    text = 'a "https://u:hunter2@one/x","b":"https://two/y" c ftp://u:hunter2@three\nhttp://four:4200, host=h password=hunter2'
    assert masked("no recipe at /ours/https:/u:hunter2@one/x?token=hunter2") == "no recipe at /ours/https:/one/x"
    assert masked(text) == 'a "https://one/x","b":"https://two/y" c ftp://three\nhttp://four:4200, host=h password=***'


@given(st.text(alphabet="ab1:/@?#=&.'\" \n[]-", max_size=40))
def test_what_is_shown_holds_nothing_more_to_hide(text: str) -> None:
    assert public(public(f"https://{text}")) == public(f"https://{text}")
    assert masked(masked(f"x {text} https://{text}")) == masked(f"x {text} https://{text}")


@given(
    st.text(alphabet="abc1:/@?#-.", max_size=12).filter(lambda odd: "://" not in odd),
    st.sampled_from(["", ":8443"]),
    st.sampled_from(["", "?token=", "#", "?x#"]),
)
def test_no_password_and_no_key_is_shown_whatever_stands_around_it(odd: str, port: str, before: str) -> None:
    key = f"{before}hunter3{odd}".replace("@", "%40") if before else ""
    shown = masked(f"what https://clerk:a{odd}hunter2{odd}@host{port}/rows.csv{key} said")
    assert shown == f"what https://host{port}/rows.csv said"


@pytest.mark.parametrize(
    "long", ["a" * 200_000, "a://" * 50_000, "a:" * 100_000, "://@" * 50_000, "?" * 200_000 + "://"]
)
@pytest.mark.timeout(120)  # a pattern that tries every way to split such a text takes hours
def test_a_long_text_is_masked_without_trying_every_way_to_split_it(long: str) -> None:
    assert masked(masked(long)) == masked(long)


def test_a_variable_holds_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT", " https://clerk:hunter2@host/rows.csv?token=x%40y\n")
    assert resolved("env:EXPORT") == "https://clerk:hunter2@host/rows.csv?token=x%40y"
    assert public(resolved("env:EXPORT")) == "https://host/rows.csv"
    assert resolved("rows.csv") == "rows.csv"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "is not set"),
        ("hunter2", "holds no URL"),
        ("https://clerk:p@hunter2@host/x", "a second @"),
        ("https://clerk:hunter2@host/@desk", "a second @"),
        ("https://clerk:hunter2@host/x?mail=a@b", "a second @"),
    ],
)
def test_a_variable_that_holds_no_certain_url_is_refused_without_it(
    value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT", value)
    with pytest.raises(ValueError, match=f"variable EXPORT .*{told}") as refused:
        resolved("env:EXPORT")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("source", ["env:", "env:sk-hunter2", "env:https://host/rows.csv?token=hunter2", "env:A B"])
def test_what_is_no_name_of_a_variable_is_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(ValueError, match="the name of an environment variable") as refused:
        check_address(source)
    assert "hunter2" not in str(refused.value)


def test_a_store_that_repeats_a_key_in_words_of_its_own_is_told_without_it() -> None:
    url = "https://clerk:pass%2Fword@host/rows.jsonl?format=json&sig=a%2Fb%3Dcdef#frag-ment"
    words = "403 for clerk: pass/word or pass%2Fword; signature a/b=cdef, a%2Fb%3Dcdef, frag-ment at https://host/rows.jsonl?x=1"
    assert hidden(words, url) == "403 for clerk: *** or ***; signature ***, ***, *** at https://host/rows.jsonl"
    assert hidden("no such file a/b", "a/b") == "no such file a/b"
