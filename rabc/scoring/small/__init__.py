"""The small scorer that ships: a tiny Qwen3-VL, its clips, its training, how good it is."""
