"""Datasets: a plug-in each."""
