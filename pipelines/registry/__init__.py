"""MLflow's runs and registry; the only room that may import it."""

from pipelines.registry.models import resolve

__all__ = ["resolve"]
