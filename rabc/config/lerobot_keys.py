"""What `lerobot-train`'s keys are called here, for those whose fingers know them."""

KEYS = {
    "batch_size": "trainer.batch_size",
    "cudnn_deterministic": "trainer.deterministic",
    "config_path": "config",
    "dataset.repo_id": "dataset.path",
    "dataset.root": "dataset.path",
    "env.episode_length": "rollouts.max_ticks",
    "env_eval_freq": "trainer.rollout_every",
    "eval.n_episodes": "rollouts.episodes",
    "eval_freq": "trainer.rollout_every",
    "job_name": "run",
    "log_freq": "trainer.log_every",
    "max_eval_samples": "trainer.max_eval_samples",
    "num_workers": "trainer.workers",
    "optimizer.grad_clip_norm": "trainer.gradient_clip_norm",
    "optimizer.lr": "trainer.lr",
    "optimizer.weight_decay": "trainer.weight_decay",
    "output_dir": "run",
    "policy.device": "device",
    "policy.optimizer_lr": "trainer.lr",
    "policy.optimizer_weight_decay": "trainer.weight_decay",
    "policy.path": "policy.pretrained_path",
    "policy.use_amp": "trainer.precision",
    "sample_weighting.kappa": "weights.kappa",
    "sample_weighting.progress_path": "weights.progress_file",
    "sample_weighting.type": "weights.scheme",
    "save_freq": "trainer.checkpoint_every",
    "scheduler.num_warmup_steps": "trainer.warmup_steps",
    "steps": "trainer.max_steps",
    "use_policy_training_preset": "trainer.lerobot_preset",
}
"""LeRobot's key -> ours."""

_SENTENCES = {
    "checkpoint_path": "the same command again goes on where it stopped",
    "dataset.streaming": "a dataset is read from this machine; leave it out",
    "dataset.use_imagenet_stats": "policy.pretrained_backbone_weights decides it; leave it out",
    "dataset.video_backend": "videos are decoded once, into a cache; leave it out",
    "env": "rollouts play the simulated SO-101; leave it out",
    "peft": "all weights of the policy are trained; leave it out",
    "policy.push_to_hub": "nothing is uploaded by itself; after the training: rabc export --push owner/name",
    "policy.repo_id": "nothing is uploaded by itself; after the training: rabc export --push owner/name",
    "resume": "the same command again goes on where it stopped; leave it out",
    "save_checkpoint": "checkpoints are always written; leave it out",
    "wandb": "curves are in TensorBoard files; leave it out",
}
"""LeRobot's key or section -> what is the case here, where no key of ours is meant."""


def here(key: str) -> str | None:
    """What the user of LeRobot's `key` should do here; None where LeRobot has no such key, or we the same."""
    if key in KEYS:
        return f"here it is {KEYS[key]}"
    return _SENTENCES.get(key) or _SENTENCES.get(key.partition(".")[0])
