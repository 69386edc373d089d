"""The tests, in the rooms of the program; a package, so that no installed `tests` is taken for it."""
