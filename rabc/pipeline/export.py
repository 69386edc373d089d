"""What `rabc export` does: a policy folder from a checkpoint, and perhaps a repository of the hub."""

from pathlib import Path
from typing import Any

from rabc.config.settings import Config
from rabc.datasets.source import find_dataset, open_dataset
from rabc.export.card import model_card
from rabc.export.folder import export, lerobot_train_config
from rabc.export.proof import proof_frames
from rabc.pipeline import state
from rabc.pipeline.receipt import card_lines
from rabc.system import stages
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id
from rabc.system.stages import Result
from rabc.training.checkpoint_policy import (
    Checkpoint,
    Which,
    check_trained_on,
    checkpoint_parts,
    find_checkpoint,
    trained_config,
)


def export_checkpoint(
    config: Config, given: str | None, which: Which, output: str | None, license_id: str, push: str | None
) -> Path:
    """Export a checkpoint, print what was proven, and push the folder to the hub if asked to.

    Args:
        config: of the run: its dataset, and what the card says.
        given: checkpoint file or training folder; None: of the run's only training.
        which: of the checkpoint's weights.
        output: the target; None: `checkpoints/<run>/step=<steps>/pretrained_model`.
        license_id: a licence identifier of the hub.
        push: hub repository, `owner/name`.

    Returns:
        The policy folder.

    Raises:
        InputError: the checkpoint, its dataset or the target cannot be used, or the hub refuses.
        CheckFailed: LeRobot alone acts otherwise; then nothing is left.
    """
    if push is not None and not is_hub_id(push):
        raise InputError(f"--push {push}: is no repository of the hub; give owner/name")
    checkpoint = find_checkpoint(Path(given) if given is not None else _only_training(config))
    folder = Path(output) if output is not None else _default_folder(config, checkpoint, which)
    check_replaceable(folder)
    trained = trained_config(config, checkpoint)
    root = find_dataset(config)
    check_trained_on(checkpoint, root)
    meta = open_dataset(config, root)
    parts, words = checkpoint_parts(trained, meta, checkpoint, which)
    known = known_results(config, checkpoint, which)
    if "weights" not in known:
        print(
            f"card: run {config.run} has no finished stages of this training and this configuration, so the "
            "card says nothing of scorer and weights"
        )
    facts = {"episodes": meta.total_episodes, "frames": meta.total_frames, "fps": meta.fps}
    results = {"demonstrations": facts, **known, "training": {"steps": checkpoint.step}}
    proof = export(
        parts, folder, lerobot_train_config(trained, meta, parts.policy), proof_frames(meta, parts),
        model_card(trained, results, words, license_id, card_lines(trained, known)),
    )  # fmt: skip
    print(f"{folder}: {proof}")
    if push is not None:
        print(_push(folder, push))
    return folder


def known_results(config: Config, checkpoint: Checkpoint, which: Which) -> dict[str, Result]:
    """Results of the run's stages that are this checkpoint's: none where its training was another.

    Those of `rollouts` only for the checkpoint and the weights that the run has evaluated.
    """
    results = state.finished(config)
    before = state.STAGES[: state.STAGES.index("training")]
    if any(name not in results for name in before):
        return {}
    key = stages.key(state.inputs(config, "training", results))
    if checkpoint.training.name != f"training-{key}":
        return {}
    evaluated = "rollouts" in results and which != "live" and results["training"]["steps"] == checkpoint.step
    return {name: results[name] for name in (*before, *(("rollouts",) if evaluated else ()))}


def check_replaceable(folder: Path) -> None:
    """Raise InputError for a folder that holds anything but a policy: an export takes its place."""
    is_policy = all((folder / name).is_file() for name in ("config.json", "model.safetensors"))
    if is_policy or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise InputError(f"--output {folder}: is there and is no policy folder; choose another place")


def _only_training(config: Config) -> Path:
    outputs = state.paths(config).outputs
    found = sorted(path for path in outputs.glob("training-*") if list(path.glob("checkpoints/step=*.ckpt")))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"run {config.run}: trainings with checkpoints in {outputs}: {names}; give one with --checkpoint"
        )
    return found[0]


def _default_folder(config: Config, checkpoint: Checkpoint, which: Which) -> Path:
    name = checkpoint.path.stem if which == "auto" else f"{checkpoint.path.stem}-{which}"
    return state.paths(config).policy.parent / name / "pretrained_model"


def _push(folder: Path, repository: str) -> str:
    """Upload the folder; where it is now."""
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api: Any = HfApi()
    try:
        url = api.create_repo(repository, repo_type="model", exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload policy")
    # OSError: no login; ValueError: no valid name.
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"--push {repository}: the hub did not take it ({reason}); {folder} is whole: log in with "
            f"`hf auth login` and try again, or upload it with `hf upload {repository} {folder}`"
        ) from error
    return f"pushed to {url}"
