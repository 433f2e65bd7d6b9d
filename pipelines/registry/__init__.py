"""MLflow's runs and registry; no other room may import MLflow."""

from pipelines.registry.models import resolve

__all__ = ["resolve"]
