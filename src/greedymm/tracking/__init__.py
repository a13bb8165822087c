"""Results -> MLflow. Only this package imports it, and no step that makes results imports this package."""

from greedymm.tracking.sync import sync_results, watch
from greedymm.tracking.ui import serve

__all__ = ["serve", "sync_results", "watch"]
