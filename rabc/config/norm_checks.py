"""Checks of `policy.batch_norm live`, as in `rabc.config.checks`.

Live layers normalise by the batch in training and by a running average afterwards. Where these are not of
the same pictures, or replace statistics that a network was trained with, the policy on the robot is not the
one that was trained.
"""

from collections.abc import Iterator

from rabc.config.settings import Config


def norm_problems(config: Config) -> Iterator[str]:
    """Every problem of live batch normalisation with other settings."""
    policy, trainer = config.policy, config.trainer
    if policy.type != "act" or policy.batch_norm != "live":
        return
    for name in ("pretrained_backbone_weights", "pretrained_path"):
        if value := getattr(policy, name):
            they = "comes" if name == "pretrained_path" else "come"
            remedy = "give frozen" if name == "pretrained_path" else "give frozen, or the weights as null"
            yield (
                f"policy.batch_norm 'live': retrains the statistics that policy.{name} {value!r} {they} "
                f"with; {remedy}"
            )
    if trainer.batch_size == 1:
        yield (
            "policy.batch_norm 'live': trainer.batch_size 1 normalises every sample by itself in training, "
            "and by the average on the robot; give frozen, or 2 or more"
        )
