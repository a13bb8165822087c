"""Trained network + batches -> one table of predictions -> measures; is handed its batches."""
