"""The SO-101 arm in simulation: environment, scripted demonstrator, recorder."""

import os
import sys

# MuJoCo chooses its OpenGL when it is first imported, and needs EGL where there is no display.
if sys.platform == "linux" and "DISPLAY" not in os.environ:
    os.environ.setdefault("MUJOCO_GL", "egl")
