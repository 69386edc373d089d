"""The commands: `rabc <command>` and `scripts/<command>.py` parse, call and print; one file for each.

`entry` finds them. Everything they call lies in the rooms below.
"""
