"""Checks of the configuration's section `weights`, as in `rabc.config.checks`."""

from collections.abc import Iterator

from rabc.config.settings import TICK_LOSSES, Config, WeightsConfig

_READ_BY = {
    "kappa": "rabc", "tau": "topreward", "delta_max": "topreward", "beta": "awr", "weight_max": "awr",
    "min_delta": "mask", "drop": "filter", "drop_share": "filter",
}  # fmt: skip
"""Settings of `weights` that one scheme alone reads."""


def weight_problems(config: Config) -> Iterator[str]:
    """Every problem between the settings of the weights."""
    yield from _progress_source(config)
    yield from _unread(config)
    yield from _filter(config)
    yield from _apply(config)


def _progress_source(config: Config) -> Iterator[str]:
    weights = config.weights
    foreign = "weights.weights_file" if weights.weights_file else "weights.progress_file"
    if weights.weights_file and weights.progress_file:
        yield (
            f"weights.weights_file {weights.weights_file!r}: makes weights.progress_file "
            f"{weights.progress_file!r} useless; give one of them"
        )
    elif (weights.weights_file or weights.progress_file) and weights.length_bias == "subtract":
        yield (
            f"weights.length_bias 'subtract': corrects our own scores, and {foreign} takes their place; "
            "give none, or leave the file out"
        )
    if weights.scheme == "static" and not weights.weights_file:
        yield (
            "weights.scheme 'static': takes the weights from weights.weights_file, which is not given; "
            "give the file or another scheme"
        )
    elif weights.weights_file and weights.scheme != "static":
        yield (
            f"weights.weights_file {weights.weights_file!r}: is read by weights.scheme 'static' alone, and "
            f"the scheme is {weights.scheme!r}; set weights.scheme static, or leave the file out"
        )
    if weights.progress_head == "dense" and not weights.progress_file:
        yield (
            "weights.progress_head 'dense': names a column of weights.progress_file, which is not given; "
            "give the file or leave this out"
        )


def _unread(config: Config) -> Iterator[str]:
    """Constants of other schemes: the one that reads them was most likely meant."""
    weights = config.weights
    for key, scheme in _READ_BY.items():
        value = getattr(weights, key)
        if weights.scheme == "auto" and value != getattr(WeightsConfig, key):
            yield (
                f"weights.{key} {value}: is read by weights.scheme {scheme!r} alone, and the scheme is "
                f"'auto'; set weights.scheme {scheme}, or leave it out"
            )


def _filter(config: Config) -> Iterator[str]:
    weights = config.weights
    if weights.drop_below is not None and (weights.scheme, weights.drop) != ("filter", "episodes"):
        yield (
            f"weights.drop_below {weights.drop_below}: is read with weights.scheme 'filter' and weights.drop "
            f"'episodes' alone, not with {weights.scheme!r} and {weights.drop!r}; set these, or leave it out"
        )
    if weights.drop_below is not None and weights.drop_share != WeightsConfig.drop_share:
        yield (
            f"weights.drop_share {weights.drop_share}: weights.drop_below {weights.drop_below} takes its "
            "place; give one of them"
        )
    if weights.scheme == "auto" and weights.calibration == "episode" and not weights.progress_file:
        yield (
            "weights.calibration 'episode': stretches every episode to its own 0...1, so that a failed one "
            "advances like a success and weights.scheme 'auto' cannot tell them apart; give dataset or "
            "logodds"
        )
    by_final = weights.scheme == "filter" and weights.drop == "episodes"
    if by_final and weights.calibration == "episode" and not weights.progress_file:
        yield (
            "weights.calibration 'episode': stretches every episode to its own 0...1, so that a failed one "
            "ends like a success and weights.drop 'episodes' cannot tell them apart; give dataset or logodds"
        )


def _apply(config: Config) -> Iterator[str]:
    if config.weights.scheme == "auto" and not config.weights.judges_actions:
        yield (
            f"weights.apply {config.weights.apply!r}: weighs chunks, weights.scheme 'auto' judges actions "
            "by what is around them; give ticks or cuts, or leave it out, or give another weights.scheme"
        )
    if config.weights.scheme == "auto" and config.weights.horizon != "per_step":
        yield (
            f"weights.horizon {config.weights.horizon!r}: weights.scheme 'auto' has one way to judge what an "
            "episode's end cuts short; leave it out"
        )
    if config.apply == "ticks" and config.policy.type not in TICK_LOSSES:
        yield (
            f"weights.apply 'ticks': policy.type {config.policy.type!r} has one loss for all actions of a "
            f"sample; give cuts or loss, or a policy of type {' or '.join(TICK_LOSSES)}"
        )
