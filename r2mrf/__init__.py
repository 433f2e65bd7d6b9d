"""R²MRF: where is a photograph out of focus?

    from r2mrf import Predictor
    defocus = Predictor.load("lite")(rgb)       # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

torch is imported when `Predictor` is first asked for.
"""

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str):
    # torch takes a second to import: only those who ask for the predictor pay for it.
    if name == "Predictor":
        from r2mrf.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'r2mrf' has no attribute {name!r}")
