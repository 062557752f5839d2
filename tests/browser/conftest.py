"""What proofs in a browser share: the servers, Debian's chromium, and a place for the pictures of the docs.

`make pictures` runs them: a browser from Debian (apt install chromium), Playwright from the extra `browser`; minutes, on two
cores. They are no part of `make test`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.servers import Servers

PICTURES = Path(__file__).parents[2] / "infra" / "pictures"
SIZE = {"width": 1360, "height": 850}
QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; asks nobody but the page it is on."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "there is no browser; on Debian: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *QUIET])
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
    """picture("form"): what the page shows, as infra/pictures/form.png, in 64 colours, which is enough for text and lines."""
    from PIL import Image

    def take(name: str, shown: Any = None) -> None:
        file = PICTURES / f"{name}.png"
        page.wait_for_timeout(700)  # the pages fade in what is new
        (shown or page).screenshot(path=file)
        with Image.open(file) as image:
            image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
        assert file.stat().st_size < 300_000

    return take
