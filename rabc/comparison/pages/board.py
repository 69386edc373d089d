"""The figures of a comparison in TensorBoard."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_scalars(result: Mapping[str, Any], folder: Path) -> None:
    """Write the figures of `comparison.json` into `folder`, in place of an earlier comparison's.

    Rates, differences and p-values are at step 0; `e_value` is over the start states that were played.
    """
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for arm in result["arms"]:
            success = arm["success"]
            figures = {
                "success": success["successes"] / success["trials"],
                "success_low": success["low"],
                "success_high": success["high"],
                "scorer_auc": arm["scorer_auc"] and arm["scorer_auc"]["value"],
                "effective_sample_size": arm["summary"]["effective_sample_size"],
                "mean_final_log_prob": arm["mean_final_log_prob"],
                "mean_ticks": arm["mean_ticks"],
                "mean_closest_m": arm["mean_closest_m"],
                "seeds_spread": arm["seeds_spread"],
                "share_of_oracle_gain": (result["gains"].get(arm["name"]) or {}).get("value"),
            }
            for name, value in figures.items():
                if value is not None:
                    writer.add_scalar(f"{name}/{arm['name']}", value, 0)
        for pair in [*result["pairs"], *result["contrasts"]]:
            baseline = pair["baseline"]
            label = pair["arm"] if baseline == result["baseline"] else f"{pair['arm']}-{baseline}"
            figures = {f"difference_{name}": pair["difference"][name] for name in ("value", "low", "high")}
            figures |= {f"over_seeds_{name}": end for name, end in pair["over_seeds"].items()}
            figures |= {name: pair[name] for name in ("p", "p_states", "p_adjusted", "posterior", "needed")}
            figures |= {f"always_valid_{name}": end for name, end in (pair["always_valid"] or {}).items()}
            for name, value in figures.items():
                if value is not None:
                    writer.add_scalar(f"{name}/{label}", value, 0)
        for arm, values in (result["sequential"] or {"e_values": {}})["e_values"].items():
            for played, value in enumerate(values, start=1):
                writer.add_scalar(f"e_value/{arm}", value, played)
        writer.add_text("answer", result["answer"], 0)
