"""Frozen scorers: frames and an instruction give a score for every prefix of the video.

`topreward` asks the question of `prompt`, `qwen3_vl` answers it for all prefixes in two forwards, `label`
scores a dataset into the `store`, `configured` is the scorer of a configuration.
"""
