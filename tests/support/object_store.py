"""An S3 server for tests, on loopback."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSystem


@contextmanager
def endpoint() -> Iterator[str]:
    """host:port of an empty server, which accepts any keys."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        server.stop()


@contextmanager
def s3_server() -> Iterator[str]:
    """Return the query of addresses on a server with a bucket `team`; its keys are in the environment."""
    with endpoint() as address, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of-a-test")
        options = f"scheme=http&endpoint_override={address}&allow_bucket_creation=true&region=us-east-1"
        FileSystem.from_uri(f"s3://team?{options}")[0].create_dir("team")
        yield options
