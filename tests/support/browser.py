"""A page opened in headless Chromium, from disk and without any network."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# CI installs it (.ci/run): there a test that lacks it fails.
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="no Chromium here; Debian's package is called chromium"
)

OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
           "--virtual-time-budget=20000"]  # fmt: skip

RESULT = """
const value = await (async () => {{ {steps} }})().catch(error => ({{ error: String(error) }}));
document.body.append(Object.assign(document.createElement("pre"),
  {{ id: "result", textContent: encodeURIComponent(JSON.stringify(value)) }}));
"""


def visit(page: Path, steps: str, policy: bool = True) -> object:
    """Open the page, take these steps in it (JavaScript that returns a value), and hand back the value.

    Args:
        policy: keep the page's security policy, which then allows just this one script more.
    """
    dom = _run(_with_script(page, RESULT.format(steps=steps), policy), "--dump-dom").stdout
    found = re.search(r'<pre id="result">([^<]*)</pre>', dom)
    assert found, f"no result from the page: {dom[-2000:]}"
    return json.loads(unquote(found[1]))


def photograph(page: Path, picture: Path, steps: str = "", *options: str) -> Path:
    """Return a screenshot after these steps."""
    visited = _with_script(page, RESULT.format(steps=steps), True)
    _run(visited, f"--screenshot={picture}", "--window-size=1400,1250", *options)
    return picture


def _run(page: Path, *options: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=400, check=True)


def _with_script(page: Path, script: str, policy: bool) -> Path:
    html = page.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    if policy:
        html = html.replace("script-src data:", f"script-src data: 'sha256-{digest}'", 1)
    else:
        html, found = re.subn(r"<meta http-equiv=[^>]*>", "", html, count=1)
        assert found
    copy = page.with_name(f"visited-{digest[:8].translate(str.maketrans('/+', '__'))}.html")
    copy.write_text(html.replace("</body>", f'<script type="module">{script}</script></body>'), encoding="utf-8")
    return copy
