"""report.html in a real browser: no errors, no requests, plots that are drawn, numbers that are the ledger's."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.test_report import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult

pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium"),
]

SIZES = {"phone": 390, "laptop": 1280, "wide": 1900}

INK = """
return [...document.querySelectorAll("canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  let ink = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (!data[i + 3]) continue;
    ink++;
    colours.add([data[i], data[i + 1], data[i + 2]].join());
  }
  return { width: canvas.clientWidth, ink: ink / (canvas.width * canvas.height), colours: colours.size };
});
"""

REDRAWN = """
const done = arguments[0];
const old = () => done(document.querySelectorAll("canvas[data-old]").length);
requestAnimationFrame(() => requestAnimationFrame(old));
"""
"""How many of the canvases that were marked as old are still there."""


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-background-networking"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()


@pytest.fixture
def crawled(api: ApiServer, crawl: Crawl) -> CrawlResult:
    """A run over a few seconds, with refusals, failures, an invalid line and hostile texts."""
    urls = [api.url(f"/items/{n}?size=300&delay_ms={20 + n % 90}") for n in range(900)]
    urls += [api.url(f"/fail/{n}?times=1&status=429") for n in range(3)]
    urls += [api.url(f"/missing/{n}?x={hostile}") for n, hostile in enumerate(HOSTILE) if " " not in hostile]
    return crawl([*urls, urls[0], *HOSTILE], workers=10)


def log_of(browser: webdriver.Chrome, kind: str) -> list[str]:
    return [str(entry["message"]) for entry in browser.get_log(kind)]  # type: ignore[no-untyped-call]


def look(browser: webdriver.Chrome, path: Path, *, width: int, theme: str) -> list[dict[str, Any]]:
    """Open the page; what is drawn on each of its canvases."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    drawn: list[dict[str, Any]] = browser.execute_script(INK)
    return drawn


def test_the_page_in_a_browser(browser: webdriver.Chrome, crawled: CrawlResult) -> None:
    path = (crawled.out / "report.html").resolve()
    for theme in ("light", "dark"):
        for name, width in SIZES.items():
            canvases = look(browser, path, width=width, theme=theme)
            assert len(canvases) == 3, (name, theme)
            for canvas in canvases:
                assert canvas["width"] > 0.75 * min(width, 1000), (name, theme, canvas)
                assert canvas["ink"] > 0.01, (name, theme, canvas)
                assert canvas["colours"] > 5, (name, theme, canvas)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            assert browser.execute_script("return window.hacked") is None
            assert browser.execute_script("return document.documentElement.dataset.drawn") == "3"
    assert log_of(browser, "browser") == []
    asked = [message for message in log_of(browser, "performance") if "Network.requestWillBeSent" in message]
    assert [message for message in asked if path.as_uri() not in message] == []
    shown = browser.execute_script("return document.body.innerText")
    sums = crawled.summary["equation"]
    assert (
        f"{sums['lines']} lines = {sums['ok']} ok + {sums['failed']} failed + {sums['invalid']} invalid + "
        f"{sums['duplicate']} duplicate + {sums['left']} left"
    ) in shown
    (row,) = crawled.rows("select sum(calls) calls, sum(refused) refused, sum(rests) rests from timeline")
    assert f"{row['calls']:,} calls, " in shown
    assert f"{row['refused']} calls refused" in shown
    assert row["refused"] == 3
    plotted = browser.execute_script("return JSON.parse(document.getElementById('data').textContent)")
    assert sum(plotted["refused"]) == row["refused"]
    assert sum(plotted["rests"]) == row["rests"]
    assert sum(plotted["calls"]) * 1 == pytest.approx(row["calls"])


def test_colours_follow_the_system_and_paper_is_white(browser: webdriver.Chrome, crawled: CrawlResult) -> None:
    """Also while the page is open: the plots are drawn anew."""
    path = (crawled.out / "report.html").resolve()
    look(browser, path, width=1280, theme="dark")
    colour = "return getComputedStyle(document.body).backgroundColor"
    dark = browser.execute_script(colour)
    mark = "document.querySelectorAll('canvas').forEach((canvas) => { canvas.dataset.old = 1; })"
    browser.execute_script(mark)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_async_script(REDRAWN) == 0
    assert browser.execute_script(colour) == "rgb(255, 255, 255)" != dark
    assert min(canvas["ink"] for canvas in browser.execute_script(INK)) > 0.01
    assert log_of(browser, "browser") == []
