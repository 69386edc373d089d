"""The machine: files whole or not at all, locks, hashes, processes, devices, the terminal, errors.

`stages` skips work that is done; `shipped` finds what comes with the program. Knows nothing of robots.
"""
