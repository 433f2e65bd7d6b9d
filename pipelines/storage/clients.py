"""Makes the clients of storages, and sentences of what they raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from pyarrow import ArrowException
from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem, FSSpecHandler, PyFileSystem, S3FileSystem

from pipelines.storage import http
from r2mrf.errors import UserError, one_line
from r2mrf.system.address import Address

FAILURES = (OSError, ValueError, ArrowException)  # raised by pyarrow; clients behind fsspec raise all kinds of errors
SILENCE = 10.0  # seconds for which a bucket may be silent
ATTEMPTS = 3  # requests to a bucket that is silent or busy
CREDENTIALS = {"access_key", "secret_key", "session_token"}


def client(address: Address, permits: Callable[[Address], bool]) -> FileSystem:
    """Return the client of a bucket or server: pyarrow's own, or else fsspec's.

    Args:
        permits: returns whether a web server may redirect to an address; can be pickled.

    Raises:
        UserError: there is no client for this scheme, or it refuses the address.
    """
    query = address.options
    if address.scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
        query = f"{query}&retry_limit_seconds=30".removeprefix("&")  # by default it retries for a quarter of an hour
    try:
        bucket = Address(address.scheme, address.host, "", address.user, query)
        system = FileSystem.from_uri(bucket.reveal().replace("?", "/?", 1))[0]
    except FAILURES as error:
        if "unrecognized filesystem type" not in str(error).lower():
            raise UserError(refusal(address, error)) from None
        return _by_fsspec(address, permits)
    return _impatient(system, bool(address.user)) if isinstance(system, S3FileSystem) else system


def _impatient(system: S3FileSystem, keys_in_address: bool) -> S3FileSystem:
    """Return the same client with limits on silence and retries, which an address cannot express."""
    options = system.__reduce__()[1][0]  # as it is pickled
    if not keys_in_address:  # temporary keys of the environment or of a role are renewed only if they are not given
        options = {name: value for name, value in options.items() if name not in CREDENTIALS}
    retries = AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
    return S3FileSystem(**options | {"request_timeout": SILENCE, "retry_strategy": retries})


def _by_fsspec(address: Address, permits: Callable[[Address], bool]) -> FileSystem:
    try:
        import fsspec.core

        options: dict = {"timeout": http.SILENCE} if address.scheme == "ftp" else {}
        if address.scheme in ("http", "https"):
            import aiohttp

            patience = aiohttp.ClientTimeout(total=http.SILENCE)
            options = {"get_client": _session, "client_kwargs": {"timeout": patience, "permits": permits}}
        return PyFileSystem(FSSpecHandler(fsspec.core.url_to_fs(address.reveal(), **options)[0]))
    except Exception as error:  # a missing package for a protocol shows up as any kind of error
        raise UserError(refusal(address, error)) from None


async def _session(permits: Callable[[Address], bool], **options: Any) -> Any:
    """Return a session of aiohttp that follows redirections only to permitted servers."""
    import aiohttp

    async def follow(_session: Any, _context: Any, redirection: Any) -> None:
        headers = redirection.response.headers
        target = urljoin(str(redirection.url), headers.get("Location") or headers.get("URI") or "")  # as aiohttp does
        if not permits(Address.parse(target)):
            root = Address.parse(target).root
            raise PermissionError(f"redirected to {root}: --allow {root} would permit that")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(follow)
    return aiohttp.ClientSession(trace_configs=[trace], **options)


def refusal(address: Address, error: Exception) -> str:
    """Return a sentence for the user about a place that cannot be reached."""
    why = cause(address, error)
    return (
        f"{address.bare}: cannot be reached ({why}): check the address, and the keys in the environment (in an "
        "address, keys and names must have / written as %2F and @ as %40)"
    )


def cause(address: Address, error: Exception) -> str:
    """Return what a client's error says, without secrets, or its kind if it says nothing."""
    return address.redact(one_line(error, 2000))[:200] or type(error).__name__
