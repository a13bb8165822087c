"""Checkpoint + batches -> numbers -> tables, figures and the report."""
