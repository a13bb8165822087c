"""Measures: a plug-in each, with `passes(settings, modalities)` and `compute(settings, table, modalities)`."""
