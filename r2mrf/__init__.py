"""R²MRF: where is a photograph out of focus?

    from r2mrf import Predictor
    defocus = Predictor.load("lite")(rgb)       # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

Importing r2mrf does not import torch; the first use of `Predictor` does. Without torch installed, `Predictor` runs the
released weights with ONNX Runtime. `images` reads and writes photos. `UserError` is raised for whatever a user can fix.
"""

from importlib import import_module
from importlib.util import find_spec

__version__ = "0.2.0"
__all__ = ["Predictor", "UserError", "__version__", "images"]

_ROOMS = {"Predictor": "prediction.predictor", "UserError": "errors", "images": "imaging.images"}


def __getattr__(name: str):
    # torch takes a second to import, so only those who use the predictor wait for it.
    if name not in _ROOMS:
        raise AttributeError(f"module 'r2mrf' has no attribute {name!r}")
    light = name == "Predictor" and not find_spec("torch")
    module = import_module("r2mrf.prediction.without_torch" if light else f"r2mrf.{_ROOMS[name]}")
    return getattr(module, name, module)
