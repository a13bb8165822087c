"""Heads: a plug-in each, with `build(settings, classes) -> Head`."""
