"""The registered model as a function of a Spark column, as docs/serving.md has it; runs where pyspark is installed."""

import re
import shutil
from pathlib import Path

import mlflow
import pytest

from pipelines.project.samples import samples
from pipelines.register import CHECKPOINT, _signature
from pipelines.registry import serving
from r2mrf.network.model_folder import RELEASED
from tests.support.documents import blocks

sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")


@pytest.fixture
def spark():
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    session = sql.SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    yield session
    session.stop()


def test_a_column_of_photos_becomes_a_column_of_records(spark, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in list(samples())[:2]:
        shutil.copy(photo, folder)
    (folder / "damaged.jpg").write_bytes(b"no photo")
    model = tmp_path / "model"
    mlflow.pyfunc.save_model(
        model,
        python_model=serving.__file__,
        artifacts={CHECKPOINT: str(RELEASED / "lite")},
        signature=_signature(),
        pip_requirements=["numpy"],
    )
    code = next(block.text for block in blocks("docs/serving.md") if "spark_udf" in block.text)
    code = code.replace("models:/r2mrf@champion", str(model)).replace("s3://bucket/photos/*.jpg", f"{folder}/*")
    code = re.sub(r"^(photos.select.*)$", r"rows = \1.collect()", code, flags=re.MULTILINE)
    names = {"mlflow": mlflow, "spark": spark}
    exec(compile(code, "docs/serving.md", "exec"), names)
    found = {Path(row.path).name: row.record for row in names["rows"]}
    assert len(found) == 3
    assert found.pop("damaged.jpg").status == "failed"
    assert all(record.status == "ok" and 0 <= record.blur_fraction <= 1 for record in found.values())
