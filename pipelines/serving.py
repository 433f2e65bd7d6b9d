"""The registered model: image bytes in, the record of a photo out.

MLflow logs this file itself ("models from code") with the model folder as an artifact: nothing is pickled.
"""

from __future__ import annotations

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from r2mrf import checkpoint
from r2mrf.config import Score
from r2mrf.predictor import Predictor
from r2mrf.scoring import record


class DefocusModel(PythonModel):
    """A table with a column `image` (encoded bytes) -> a table of records, one row a photo."""

    def load_context(self, context) -> None:
        self.predictor = Predictor(checkpoint.load(context.artifacts["checkpoint"]))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        return pd.DataFrame([record(self.predictor, data, Score()) for data in model_input["image"]])


set_model(DefocusModel())
