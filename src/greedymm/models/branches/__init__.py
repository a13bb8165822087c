"""Branches: a plug-in each, with `build(settings, channels) -> Branch`."""
