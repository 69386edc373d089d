"""Plays a policy over given frames with LeRobot and nothing of ours.

    python -P lerobot_only.py FOLDER < frames > actions

loads the policy folder as the robot will. In this process `rabc` cannot be imported. Frames and actions are
safetensors; they go through pipes, so that nothing is left where either process is killed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def play(
    policy: Any,
    preprocessor: Any,
    postprocessor: Any,
    frames: dict[str, Tensor],
    tasks: list[str],
    noise: Tensor | None,
) -> Tensor:
    """The actions a policy gives when it sees one frame for each of its queries.

    A frame stays in view until its actions are used up, as `lerobot-rollout` works through them, so every
    query sees a frame of its own and, where the policy has a history, the frame before.

    Args:
        policy: on the CPU, in eval mode; its queues are emptied.
        preprocessor: its own; for the CPU.
        postprocessor: its own.
        frames: input -> (F, ...): cameras uint8 (F, 3, H, W), the rest float32, in dataset units.
        tasks: F instructions.
        noise: (F, horizon, D) a diffusion policy begins with. What else is random follows torch's global
            generator, which is seeded here.

    Returns:
        (F * n_action_steps, D) actions in dataset units.
    """
    torch.manual_seed(0)
    policy.reset()
    actions: list[Tensor] = []
    for place, task in enumerate(tasks):
        start = {} if noise is None else {"noise": noise[place : place + 1]}
        for _ in range(policy.config.n_action_steps):
            batch = preprocessor({**observation(frames, place), "task": task})
            with torch.inference_mode():
                actions.append(postprocessor(policy.select_action(batch, **start))[0])
    return torch.stack(actions)


def observation(frames: dict[str, Tensor], place: int) -> dict[str, Tensor]:
    """One of `frames` as a robot gives it: pictures float (3, H, W) in 0...1, without a batch dimension."""
    seen = {key: value[place] for key, value in frames.items()}
    return {key: value.float() / 255 if value.dtype == torch.uint8 else value for key, value in seen.items()}


def load(folder: Path, device: str = "cpu") -> tuple[Any, Any, Any]:
    """Policy, preprocessor and postprocessor of a folder, on a torch device.

    Raises what LeRobot raises where the folder is not whole. LeRobot's own loading goes on with random
    numbers where weights are missing; this does not.
    """
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(folder)
    config.device = device
    policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
    preprocessor, postprocessor = make_pre_post_processors(
        config,
        pretrained_path=str(folder),
        preprocessor_overrides={"device_processor": {"device": device}},
    )
    return policy.eval(), preprocessor, postprocessor


def main(folder: Path) -> None:
    """Reads frames, writes actions."""
    from safetensors.torch import load as from_bytes
    from safetensors.torch import save as to_bytes

    answer = sys.stdout.buffer
    sys.stdout = sys.stderr  # LeRobot prints that it loads weights
    size = int.from_bytes(sys.stdin.buffer.read(8), "little")
    facts = json.loads(sys.stdin.buffer.read(size))
    frames = from_bytes(sys.stdin.buffer.read())
    torch.set_num_threads(facts["threads"])  # the last bits of a sum depend on it
    noise = frames.pop("noise", None)
    actions = play(*load(folder), frames, facts["tasks"], noise)
    answer.write(to_bytes({"actions": actions}))


if __name__ == "__main__":
    sys.modules["rabc"] = None  # pyright: ignore[reportArgumentType]  (importing it fails from now on)
    main(Path(sys.argv[1]))
