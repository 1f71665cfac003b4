"""The page of a gallery in a real browser: 200 images, hostile prompts, and a batch that is still at work."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from reve_cli.album.cards import card
from reve_cli.album.page import LIVE, as_data, page, write
from tests.support.browser import CHROMIUM, Browser
from tests.support.pictures import PICTURES

HOSTILE = (
    "--> <!-- <script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "{{constructor.constructor('document.title=1')()}} ${document.title='run'}",
    "<img src=x onerror=\"document.title='run'\"><svg onload=alert(1)>",
    "a\0b \u202e\x1b[31m\u2028",
    "\U0001f98a" * 2000,
)
"""Prompts that would run or break something if the page took them for more than text."""


def pictures(folder: Path, prompts: list[str]) -> list[dict[str, Any]]:
    """Write an image for each prompt. Returns their cards."""
    cards = []
    for seed, prompt in enumerate(prompts):
        path = folder / f"{seed} #?%'\"&<b>.png"
        path.write_bytes(PICTURES["png"])
        facts = {"prompt": prompt, "seed": seed, "aspectRatio": "1:1", "model": "reve-create"}
        cards.append(card(str(path), facts, str(folder)))
    return cards


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_works_in_chromium(tmp_path: Path) -> None:
    folder = tmp_path / "foxes"
    folder.mkdir()
    cards = pictures(folder, [*HOSTILE, *(f"fox number {number}" for number in range(194))])
    write(str(folder / "gallery.html"), page("foxes </title><script>", cards))
    with Browser(tmp_path / "profile") as browser:
        it_shows_all_images_and_runs_no_prompt(browser, folder)
        the_filter_finds_words_and_survives_a_reload(browser, folder)
        the_large_view_works_by_keyboard_and_copies_the_command(browser, folder)
        it_fits_a_small_window_and_follows_the_colors_of_the_system(browser, folder)
        it_moves_with_its_folder(browser, folder.rename(tmp_path / "moved"))
        a_page_of_a_running_batch_shows_new_images_until_the_batch_ends(browser, tmp_path / "moved", cards)


def it_shows_all_images_and_runs_no_prompt(browser: Browser, folder: Path) -> None:
    browser.open(folder / "gallery.html")
    assert browser.value("list.children.length") == 200
    browser.until("[...document.images].slice(0, 6).every((image) => image.complete && image.naturalWidth === 5)")
    shown = browser.value("[...list.querySelectorAll('.prompt')].slice(0, 6).map((each) => each.textContent)")
    assert shown == list(HOSTILE)
    assert browser.value("document.title") == "foxes </title><script>"
    assert browser.value("document.scripts.length") == 2
    assert browser.value("document.querySelectorAll('li img').length") == 200
    assert all(address.startswith(folder.as_uri() + "/") for address in browser.requests)
    assert not browser.problems
    refused = "fetch('http://127.0.0.1:9/').then(() => 'allowed', () => 'refused')"
    assert browser.value(refused) == "refused"
    assert "Content Security Policy" in " ".join(browser.problems)


def the_filter_finds_words_and_survives_a_reload(browser: Browser, folder: Path) -> None:
    browser.open(folder / "gallery.html")
    browser.press("/")
    browser.type("NUMBER 42 fox")
    assert browser.value("find('count').textContent") == "4 of 200 images"  # the prompts with 42 and 142, and the seeds
    browser.call("Page.reload")
    browser.until("document.readyState === 'complete' && filter.value === 'NUMBER 42 fox'")
    assert browser.value("list.children.length") == 4


def the_large_view_works_by_keyboard_and_copies_the_command(browser: Browser, folder: Path) -> None:
    browser.open(folder / "gallery.html")
    browser.value("list.querySelector('a').focus()")
    browser.press("Enter")
    browser.until("view.open && find('large').complete && find('large').naturalWidth === 5")
    assert browser.value("find('prompt').textContent") == HOSTILE[0]
    for key, seed in {"ArrowRight": "1", "End": "199", "ArrowLeft": "198"}.items():
        browser.press(key)
        assert browser.value("find('facts').children[1].textContent") == seed
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.press("c")
    browser.until("find('told').textContent === 'Command copied'")
    words = shlex.split(browser.value("navigator.clipboard.readText()"))
    assert words == ["reve", "generate", "--seed", "198", "--ar", "1:1", "--", "fox number 192"]
    browser.press("Escape")
    browser.until("!view.open && document.activeElement === list.children[198].querySelector('a')")


def it_fits_a_small_window_and_follows_the_colors_of_the_system(browser: Browser, folder: Path) -> None:
    backgrounds = []
    for dark in (False, True):
        browser.open(folder / "gallery.html", columns=400, rows=700, dark=dark)
        assert browser.value("document.documentElement.scrollWidth <= 400")
        browser.value("show(1)")
        assert browser.value("view.scrollWidth <= 400")
        backgrounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert len(set(backgrounds)) == 2


def it_moves_with_its_folder(browser: Browser, folder: Path) -> None:
    browser.open(folder / "gallery.html")
    browser.until("document.images[0].complete && document.images[0].naturalWidth === 5")


def a_page_of_a_running_batch_shows_new_images_until_the_batch_ends(
    browser: Browser, folder: Path, cards: list[dict[str, Any]]
) -> None:
    where = folder / "gallery.html"
    write(str(folder / LIVE), b"reve([])")
    write(str(where), page("foxes", cards[1:2], live=True))
    browser.open(where)
    assert browser.value("list.children.length") == 1
    write(str(folder / LIVE), f"reve({as_data(cards[:2])})".encode())
    browser.until("list.children.length === 2")
    assert browser.value("list.querySelector('.prompt').textContent") == HOSTILE[0]  # the newest comes first
    write(str(where), page("foxes", cards[:3]))
    (folder / LIVE).unlink()
    browser.until("!data.live && list.children.length === 3")
