"""A disk that is too small for files."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tiny_disk(largest: int = 100_000) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
