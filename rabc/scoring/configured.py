"""The scorer that a configuration names."""

from rabc.config.settings import ScorerConfig
from rabc.scoring.prompt import Prompt
from rabc.scoring.topreward import TOPReward
from rabc.system.device import resolve_device


def load_scorer(config: ScorerConfig, device: str) -> TOPReward:
    """The scorer that the configuration names, on the configured device; says how it will score."""
    first, second = (word.strip() for word in config.answers.split(","))
    chosen = resolve_device(device)
    scorer = TOPReward.from_pretrained(
        config.model, config.revision, chosen, config.dtype, config.fps,
        Prompt((first, second), config.chat_template),
    )  # fmt: skip
    print(f"scorer: {scorer.name}, {scorer.identity['dtype']} on {chosen}, {scorer.path}")
    return scorer
