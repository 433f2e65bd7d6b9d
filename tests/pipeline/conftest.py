"""Fixtures of this folder: a tiny model, the command `r2mrf`, row groups of Parquet files as they are read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.command.cli import main
from tests.support.command import Run, command
from tests.support.model import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def groups_read(monkeypatch) -> list[int]:
    """Row groups of Parquet files, as they are read."""
    groups, iter_batches = [], pq.ParquetFile.iter_batches

    def counted(file: pq.ParquetFile, *rows: int, row_groups: list[int], **options) -> Iterator[pa.RecordBatch]:
        groups.extend(row_groups)
        return iter_batches(file, *rows, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    return groups


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(tiny_model) -> Callable[..., Run]:
    """Run `r2mrf` with the tiny model."""
    return lambda *arguments: command(*arguments, "--model", tiny_model)


@pytest.fixture
def report(capsys):
    """Run `r2mrf report`; return its exit status, lines of output, and lines of errors without progress."""

    def report(*arguments: object) -> tuple[int, list[str], list[str]]:
        status = main(["report", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out.splitlines(), [line for line in err.splitlines() if line and "files" not in line]

    return report
