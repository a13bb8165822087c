"""Model + batches -> checkpoint and history; is handed its batches."""
