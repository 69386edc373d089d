"""The sections of the configuration that say what is trained, and how."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class PolicyConfig:
    """The LeRobot policy. Sizes that the dataset states are taken from there."""

    type: Literal["act", "diffusion", "smolvla", "pi0", "pi05"] = "act"
    """LeRobot policy type. Keys that another type has, such as `horizon` for act, are errors."""
    pretrained_path: str | None = None
    """LeRobot policy folder or hub id to start from, e.g. `lerobot/smolvla_base`. Its configuration holds,
    but for `n_action_steps` and `extra`."""
    resize_shape: list[int] | None = None
    """Height and width of the pictures the policy sees, pixels; null: as the cameras give them. The exported
    preprocessor resizes, so that the robot's pictures become what training saw."""
    n_action_steps: int = 10
    """Actions executed per query, control ticks."""
    chunk_size: int = 20
    """act, smolvla, pi0, pi05: actions predicted per query, control ticks."""
    vision_backbone: str = "resnet18"
    """act, diffusion: torchvision ResNet that encodes each camera."""
    pretrained_backbone_weights: str | None = None
    """act, diffusion: torchvision weights of the backbone (a download), e.g.
    `ResNet18_Weights.IMAGENET1K_V1`."""
    batch_norm: Literal["frozen", "live"] = "live"
    """act. frozen: LeRobot's layers, which normalise nothing without pretrained weights; live: trained
    as BatchNorm and exported into the frozen layers, so that the folder stays LeRobot's own."""
    dim_model: int = 128
    """act: width of the transformer."""
    n_heads: int = 8
    """act: attention heads."""
    dim_feedforward: int = 512
    """act: width of the feed-forward layers."""
    n_encoder_layers: int = 2
    """act: encoder layers."""
    n_decoder_layers: int = 1
    """act: decoder layers."""
    use_vae: bool = True
    """act: train with the variational encoder."""
    kl_weight: float = 10.0
    """act: weight of the KL term of the variational encoder."""
    dropout: float = 0.1
    """act: dropout probability in the transformer."""
    horizon: int = 16
    """diffusion: actions generated per query, control ticks from the first observation on; halved once for
    each of `down_dims`."""
    n_obs_steps: int = 2
    """diffusion: observations the policy sees, the current one and those before it."""
    down_dims: list[int] = field(default_factory=lambda: [128, 256, 512])
    """diffusion: channels of the U-Net, one number per resolution."""
    use_group_norm: bool = True
    """diffusion: GroupNorm in the backbone, which treats every sample alone; false: BatchNorm."""
    use_separate_rgb_encoder_per_camera: bool = True
    """diffusion: a backbone for each camera."""
    noise_scheduler_type: Literal["DDPM", "DDIM"] = "DDIM"
    """diffusion: how actions are generated; DDIM needs fewer steps."""
    num_inference_steps: int = 10
    """diffusion: denoising steps per query, at most `num_train_timesteps` (100)."""
    prediction_type: Literal["epsilon", "sample"] = "epsilon"
    """diffusion: what the U-Net predicts: the noise, or the actions."""
    do_mask_loss_for_padding: bool = True
    """diffusion: leave actions past the episode's end out of the loss."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Any further field of LeRobot's policy configuration, by its name there."""

    @property
    def chunk(self) -> int:
        """Actions from the current observation on that a sample teaches, control ticks."""
        return self.horizon - self.n_obs_steps + 1 if self.type == "diffusion" else self.chunk_size

    @property
    def chunk_key(self) -> str:
        """The key that sets `chunk`."""
        return "policy.horizon" if self.type == "diffusion" else "policy.chunk_size"


@dataclass(frozen=True)
class TrainerConfig:
    """Optimisation."""

    max_steps: int = 2500
    """Optimizer steps."""
    batch_size: int = 32
    """Samples per device and micro-batch. An optimizer step sees `batch_size` x `accumulate_grad_batches` x
    `devices` x `num_nodes` samples."""
    accumulate_grad_batches: int = 1
    """Micro-batches whose gradients are added up before an optimizer step."""
    lerobot_preset: bool = False
    """Optimizer, schedule and clipping that LeRobot presets for the policy, in place of `lr`, `warmup_steps`,
    `weight_decay` and `gradient_clip_norm`; `policy.extra.optimizer_*` and `scheduler_*` change it."""
    lr: float = 3e-4
    """Peak learning rate of AdamW."""
    warmup_steps: int = 100
    """Steps of linear warm-up before the cosine decay."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    gradient_clip_norm: float = 10.0
    """Largest gradient norm; 0: no clipping."""
    state_noise: float = 0.02
    """Standard deviation of the noise added to the normalised state in training."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights, which is then what is validated, rolled out and
    exported; 0: none. It grows to this value over the first steps."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Lightning precision; auto: bf16-mixed where the hardware computes in bfloat16, else 32-true."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time; an operation without one is an error."""
    devices: int = 1
    """Training processes on each machine, each with a device of its own."""
    num_nodes: int = 1
    """Machines; start the command on each, with torchrun or SLURM, on a file system they share."""
    checkpoint_every: int = 250
    """Steps between checkpoints, from which a killed run goes on."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    eval_steps: int = 0
    """Steps between validations on the held-out episodes of `dataset.eval_split`; 0: none."""
    max_eval_samples: int = 0
    """Samples of a validation, spread evenly over the held-out frames; 0: all of them."""
    patience: int = 0
    """Validations without a new lowest validation loss after which training stops, with the weights it then
    has; 0: never."""
    rollout_every: int = 0
    """Steps between rollouts of the policy as it is, on start states of their own; 0: none."""
    rollout_episodes: int = 10
    """Rollouts each time."""
    log_every: int = 20
    """Steps between TensorBoard points."""
    threads: int = 0
    """CPU threads for torch; 0: its default."""
    workers: int = -1
    """Loading processes; -1: 2 where a GPU computes or videos are decoded batch by batch, else 0."""

    @property
    def samples_per_step(self) -> int:
        """Samples of an optimizer step, on all devices and in all micro-batches."""
        return self.batch_size * self.accumulate_grad_batches * self.devices * self.num_nodes
