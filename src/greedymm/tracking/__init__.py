"""Results -> MLflow. Only this package imports it, and no step that makes results imports this package."""

from greedymm.tracking.store import make_database
from greedymm.tracking.sync import sync_results, watch

__all__ = ["make_database", "sync_results", "watch"]
