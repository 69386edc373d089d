"""Batches (`data`, `order`), the training step (`module`), Lightning's loop (`fitting`), its checkpoints.

`run` is a training from its settings to its policy; `sources` feeds it.
"""
