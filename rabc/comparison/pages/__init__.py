"""The report of a comparison: an HTML page, its charts and texts, TensorBoard, tables for docs/results.md."""
