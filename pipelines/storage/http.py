"""Fetches a file from a web server, with limits on bytes and time, and redirections only to permitted servers."""

from __future__ import annotations

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from r2mrf.imaging.images import MAX_BYTES, ImageError
from r2mrf.system.address import Address

PIECE = 1 << 18  # bytes read at a time
SILENCE = 15.0  # seconds for which a server may be silent


def fetch(address: Address, seconds: float, check: Callable[[Address], None]) -> bytes:
    """Return the content at an http:// or https:// address.

    Args:
        seconds: time limit for all of it.
        check: raises ImageError for an address that is not permitted; called before every redirection.

    Raises:
        ImageError: unreadable, unreachable, too_large or timeout.
    """

    class Redirections(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):
            check(Address.parse(newurl))
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    user, password = address.credentials
    request = urllib.request.Request(Address(address.scheme, address.host, address.path, "", address.options).reveal())
    if user or password:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, Redirections,
        urllib.request.HTTPErrorProcessor, urllib.request.HTTPDefaultErrorHandler,
    ):  # fmt: skip  # neither file: nor ftp:, wherever a redirection leads
        opener.add_handler(handler())
    until = time.monotonic() + seconds
    try:
        with opener.open(request, timeout=min(seconds, SILENCE)) as answer:
            return _read(answer, until, seconds)
    except urllib.error.HTTPError as error:
        reason = "unreachable" if error.code in (502, 503, 504) else "unreadable"
        raise ImageError(reason, f"the server answered {error.code}") from None
    except TimeoutError:
        raise ImageError("unreachable", f"{address.root} does not answer") from None


def _read(answer, until: float, seconds: float) -> bytes:
    pieces, size = [], 0
    while piece := answer.read1(PIECE):
        size += len(piece)
        pieces.append(piece)
        if size > MAX_BYTES:
            raise ImageError("too_large", f"at most {MAX_BYTES:,} bytes are read")
        if time.monotonic() > until:
            raise ImageError("timeout", f"not fetched in {seconds:g} seconds")
    if answer.length:
        raise ImageError("unreadable", f"the server stopped {answer.length:,} bytes early")
    return b"".join(pieces)
