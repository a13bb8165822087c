"""Batches -> logits; knows no files and no training."""
