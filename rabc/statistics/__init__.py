"""Pure: rates and differences with intervals, paired and unpaired tests, estimates from few labels.

`sequential` is the test that may be looked at after every start state, `curves` says how good scores are.
"""
