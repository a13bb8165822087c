"""Metrics: one module each."""
