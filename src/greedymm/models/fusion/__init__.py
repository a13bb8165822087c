"""Fusions: one module each, found by its name. A module has `build(settings, channels) -> Fusion`."""
