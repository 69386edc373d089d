"""A policy in the simulator (`play`), and rollouts that are scored and kept one by one (`evaluation`)."""
