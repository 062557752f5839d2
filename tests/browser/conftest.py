"""What proofs in a browser share: the servers, Debian's chromium, and a place for the pictures of the docs.

`make pictures` runs them: a browser from Debian (apt install chromium), Playwright from the extra `browser`; minutes,
on two cores. They are no part of `make test`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser.servers import Servers
from tests.support.little_recipe import REFUSED, little_recipe

PICTURES = Path(__file__).parents[2] / "infra" / "pictures"
SIZE = {"width": 1360, "height": 850}
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """In a folder apart from pytest's own: each pytest that starts closes that one to other users, and PostgreSQL is
    one.
    """
    with tempfile.TemporaryDirectory(prefix="assay-browser-", ignore_cleanup_errors=True) as folder:
        servers = Servers(Path(folder))
        try:
            servers.start_all()
            yield servers
        finally:
            servers.stop()


@pytest.fixture(scope="session")
def recipes(servers: Servers) -> Path:
    """The folder of four recipes on one set of data, which what `assay deploy` makes can run."""
    servers.run("assay", "deploy")
    folder = servers.folder / "recipes"
    little_recipe(folder)
    little_recipe(folder, "refused", gate=REFUSED)
    many = {"expect_table_row_count_to_be_between": {"min_value": 500}, "why": "Fewer teach too little."}
    (folder / "strict.yaml").write_text(yaml.safe_dump({"extends": "sft", "expectations": [many]}))
    little_recipe(folder, "blocked", contract="strict.yaml")
    little_recipe(folder, "mistaken", train={"epoch": 4})
    short = {"threads": 1, "epochs": 2, "batch_rows": 6, "learning_rate": 0.02, "validations_per_epoch": 1}
    little_recipe(folder, "again", train=short)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; asks nobody but the page it is on."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "there is no browser; on Debian: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a person who was never here before."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def picture(page: Any) -> Callable[..., None]:
    """picture("report"): what the page shows, as infra/pictures/report.png, in 64 colours: enough
    for text and lines.
    """
    from PIL import Image

    def take(name: str, shown: Any = None) -> None:
        file = PICTURES / f"{name}.png"
        page.wait_for_timeout(700)  # the pages fade in what is new
        (shown or page).screenshot(path=file)
        with Image.open(file) as image:
            image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
        assert file.stat().st_size < 300_000

    return take
