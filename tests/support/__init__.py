"""What the tests of several rooms share."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
"""The clone that the tests run in."""
