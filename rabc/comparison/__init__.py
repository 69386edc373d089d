"""Comparing weightings: the same training with other weights, judged on the same start states."""
