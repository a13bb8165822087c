"""Fusions: a plug-in each, with `build(settings, widths) -> Fusion | LateFusion`."""
