"""The configuration: its sections (`settings`), its YAML, its command line (`cli`), and its checks.

Nothing here imports torch, so that `--help` and configuration errors answer at once.
"""
