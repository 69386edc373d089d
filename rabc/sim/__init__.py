"""The SO-101 arm in simulation: `environment`, its `tasks`, scripted demonstrators, `recorder` of datasets.

`scorer_data` is what the small scorer learns from, `seeds` keeps everybody's start states apart.
"""

import os
import sys

# MuJoCo chooses its OpenGL when it is first imported, and needs EGL where there is no display.
if sys.platform == "linux" and "DISPLAY" not in os.environ:
    os.environ.setdefault("MUJOCO_GL", "egl")
