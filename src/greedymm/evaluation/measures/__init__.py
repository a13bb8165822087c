"""Measures: a plug-in each, with `passes(settings, modalities)` and `compute(settings, table, modalities)`.

One that needs more than passes also has `columns(settings, network, train, split)`: columns (N,) for the table.
"""
