"""The report page as a person uses it, opened from disk; steps are what clicks and keys would do, in JavaScript."""

import re
from pathlib import Path

from tests.support.devtools import browser

# Short words for the steps. They wait: the table sorts after a click has returned and searches when nothing has been
# typed for 0.4 s, and pictures load in their own time.
WORDS = """
const all = selector => [...document.querySelectorAll(selector)];
const texts = selector => all(selector).map(node => node.textContent);
const loaded = () => Promise.all(all("img[src]").map(picture => picture.decode().catch(() => null)));
const wait = (time = 100) => new Promise(done => setTimeout(done, time)).then(loaded);
const click = async selector => { document.querySelector(selector).click(); await wait(); };
const set = async (selector, value, event = "change") => {
  Object.assign(document.querySelector(selector), { value }).dispatchEvent(new Event(event));
  await wait(event === "input" ? 500 : 100); };
const press = async key => { document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); await wait(); };
const names = () => texts("td.of-name");
const bars = () => texts("#histogram rect:not([height='0'])");
"""  # noqa: E501


def visit(page: Path, steps: str, policy: bool = True) -> object:
    """Open the page, take these steps in it, and return what they return.

    Args:
        policy: keep the page's security policy.
    """
    with browser((page if policy else _without_policy(page)).as_uri()) as tab:
        return tab.run(WORDS + steps)


def photograph(page: Path, picture: Path, steps: str = "", *options: str) -> Path:
    """Return a screenshot of the page's first 1,400 by 1,250 pixels, after these steps."""
    with browser(page.as_uri(), *options) as tab:
        tab.resize(1400, 1250)
        tab.run(WORDS + steps + "await wait();")
        return tab.photograph(picture, whole=False)


def _without_policy(page: Path) -> Path:
    html, found = re.subn(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"), count=1)
    assert found
    copy = page.with_name(f"open-{page.name}")
    copy.write_text(html, encoding="utf-8")
    return copy
