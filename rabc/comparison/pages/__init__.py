"""The report of a comparison: `page` (HTML), the columns of its tables (`texts`), its charts, TensorBoard.

`results` makes the tables of docs/results.md.
"""
