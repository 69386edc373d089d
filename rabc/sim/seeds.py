"""Start states are numbered; every use has a range of its own, so that none overlap.

Each constant is the first seed of a range of `RANGE` seeds. Options named `first_seed`
are offsets within the range of their use.
"""

from rabc.system.errors import InputError

RANGE = 1_000_000
DEMONSTRATIONS = 0
SCORER_TRAINING = 1 * RANGE
SCORER_TEST = 2 * RANGE
ROLLOUTS = 3 * RANGE
TRAINING_ROLLOUTS = 4 * RANGE


def seed_range(first: int, offset: int, count: int) -> range:
    """Seeds `offset ... offset + count` of the range that begins at `first`.

    Raises InputError where that would run into the next use's seeds.
    """
    if offset < 0 or offset + count > RANGE:
        raise InputError(
            f"first_seed {offset} with {count} episodes leaves the range 0...{RANGE} set aside for this use; "
            f"choose an offset of at most {RANGE - count}"
        )
    return range(first + offset, first + offset + count)
