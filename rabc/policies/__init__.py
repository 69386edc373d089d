"""LeRobot's policies: their settings, processors, losses per sample (`losses`), live batch normalisation."""
