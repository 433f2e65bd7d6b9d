"""Headless Chromium, which CI installs, and the options with which tests start it."""

import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# CI installs it (.ci/run): there a test that lacks it fails.
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="no Chromium here; Debian's package is called chromium"
)

# It reaches no machine but this one.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--hide-scrollbars", "--no-proxy-server", "--remote-debugging-port=0",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip
