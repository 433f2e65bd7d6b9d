"""A tiny model, and what is read of Parquet files, for the tests of this folder."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.model import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def groups_read(monkeypatch) -> list[int]:
    """Row groups of Parquet files, as they are read."""
    groups, read_row_group = [], pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, group: int, **options) -> pa.Table:
        groups.append(group)
        return read_row_group(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    return groups
