"""Losses against LeRobot's own policies: equal loss and gradients at weight 1, none at weight 0."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rabc.policies.batch_norm import frozen_state, live_batch_norm
from rabc.policies.losses import (
    DiffusionNoise,
    LossTerm,
    StepSize,
    sample_losses,
    step_noise,
    valid_errors,
    weighted_loss,
)
from tests.support import small_resnet
from tests.support.closeness import ROOM, assert_close, assert_gradients_close

MakePolicy = Callable[..., Any]
MakeBatch = Callable[..., dict[str, Tensor]]
# Every way in which a LeRobot policy averages its loss.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("act", {"use_vae": True}),
    ("act", {"use_vae": False}),
    ("diffusion", {"do_mask_loss_for_padding": True}),
    ("diffusion", {"do_mask_loss_for_padding": False}),
    ("diffusion", {"prediction_type": "sample", "do_mask_loss_for_padding": True}),
    ("diffusion", {"n_obs_steps": 1, "crop_shape": (56, 56)}),
    ("smolvla", {}),
]
NAMES = [f"{kind} {' '.join(f'{k}={v}' for k, v in changes.items())}" for kind, changes in VARIANTS]
# Steps of Adam and sums of gradients are the same for an encoder of fewer weights, and much faster.
SMALL = {"vision_backbone": small_resnet.NAME}
# Dropout and the latent's noise differ from sample to sample and from batch to batch.
QUIET: list[tuple[str, dict[str, Any]]] = [
    ("act", {"use_vae": False, "dropout": 0.0, **SMALL}),
    ("diffusion", {"do_mask_loss_for_padding": True, **SMALL}),
    ("diffusion", {"do_mask_loss_for_padding": False, **SMALL}),
]
QUIET_NAMES = ["act", "diffusion masked", "diffusion"]
# The longest sum: the gradient of a filter of the first layer, over 4 samples, 2 cameras and 32x32 places.
TERMS = 4 * 2 * 32 * 32
# A loss: 4 samples, 8 ticks, 6 joints, none of which can cancel another.
ELEMENTS = 4 * 8 * 6
# Diffusion's encoders take the mean out of every 128 values again, layer by layer: what is left is smaller
# than what was rounded. It uses up to 0.8 of the usual room, on processors with and without AVX.
ROOM_OF = {"act": ROOM, "diffusion": 2 * ROOM}


def size_of(batch: dict[str, Tensor]) -> StepSize:
    return StepSize(len(batch["action"]), int((~batch["action_is_pad"]).sum()))


def gradients(policy: Any) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def part(batch: dict[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    return {name: value[start:stop] for name, value in batch.items()}


def ours(
    policy: Any,
    batch: dict[str, Tensor],
    weights: Tensor,
    noise: DiffusionNoise | None = None,
    ticks: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    policy.zero_grad()
    torch.manual_seed(7)  # dropout, latent, diffusion noise, crop
    loss = weighted_loss(sample_losses(policy, batch, noise), weights, size_of(batch), ticks)
    loss.total.backward()
    return loss.total.detach(), gradients(policy)


def theirs(policy: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    policy.zero_grad()
    torch.manual_seed(7)
    loss, _ = policy(dict(batch))
    loss.backward()
    return loss.detach(), gradients(policy)


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "whole"])
@pytest.mark.parametrize(("kind", "changes"), VARIANTS, ids=NAMES)
def test_weights_of_one_give_lerobots_loss_and_gradients(
    kind: str, changes: dict[str, Any], padded: bool, tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    policy = tiny_policy(kind, **changes)
    batch = tiny_batch(policy, padded=padded)
    loss, found = ours(policy, batch, torch.ones(4))
    expected, wanted = theirs(policy, batch)
    assert_close(loss, expected, ELEMENTS, size=0.0)
    assert_gradients_close(found, wanted, TERMS)
    if kind != "smolvla":
        ticks = torch.ones(batch["action"].shape[:2])
        loss, found = ours(policy, batch, torch.ones(4), ticks=ticks)
        assert_close(loss, expected, ELEMENTS, size=0.0)
        assert_gradients_close(found, wanted, TERMS)
    # The pictures' part of the network learns, too.
    seen = [g for name, g in wanted.items() if "backbone" in name or kind == "smolvla"]
    assert max(float(gradient.abs().max()) for gradient in seen) > 1e-6
    assert max(float(gradient.abs().max()) for gradient in wanted.values()) > 1e-3


def test_the_parts_of_acts_loss_have_lerobots_names_and_values(
    tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    policy = tiny_policy("act")
    batch = tiny_batch(policy)
    torch.manual_seed(7)
    _, wanted = policy(batch)
    torch.manual_seed(7)
    loss = weighted_loss(sample_losses(policy, batch), torch.ones(4), size_of(batch))
    assert loss.parts.keys() == wanted.keys()
    for name, value in loss.parts.items():
        assert_close(value, wanted[name], ELEMENTS, name, size=0.0)


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "whole"])
@pytest.mark.parametrize(("kind", "changes"), VARIANTS, ids=NAMES)
def test_ten_steps_with_lerobots_preset_give_lerobots_weights(
    kind: str, changes: dict[str, Any], padded: bool, tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    changes = changes if kind == "smolvla" else {**changes, **SMALL}

    def train(loss_of: Callable[[Any, dict[str, Tensor]], Tensor]) -> dict[str, Tensor]:
        policy = tiny_policy(kind, **changes)
        preset = policy.config.get_optimizer_preset()
        optimizer = preset.build(policy.get_optim_params())
        batch = tiny_batch(policy, padded=padded)
        for step in range(10):
            torch.manual_seed(step)
            optimizer.zero_grad()
            loss_of(policy, dict(batch)).backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), preset.grad_clip_norm)
            optimizer.step()
        return policy.state_dict()

    def weighted(policy: Any, batch: dict[str, Tensor]) -> Tensor:
        return weighted_loss(sample_losses(policy, batch), torch.ones(4), size_of(batch)).total

    found, wanted = train(weighted), train(lambda policy, batch: policy(batch)[0])
    start = tiny_policy(kind, **changes).state_dict()
    moved = max(float((value - start[name]).abs().max()) for name, value in wanted.items())
    assert moved > 5e-5
    for name, value in wanted.items():
        # Far less than what the steps have moved; Adam divides by the root of squared gradients, which
        # makes rounding visible where they are small.
        torch.testing.assert_close(found[name], value, rtol=0, atol=moved / 50, msg=name)


@pytest.mark.parametrize(("kind", "changes"), QUIET, ids=QUIET_NAMES)
def test_sample_of_weight_zero_gives_no_gradient(
    kind: str, changes: dict[str, Any], tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    policy = tiny_policy(kind, **changes)
    batch = tiny_batch(policy)
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0])
    _, found = ours(policy, batch, weights)
    other = {name: value.clone() for name, value in batch.items()}
    for name in ("observation.images.front", "observation.state", "action"):
        other[name][2] = 100 * torch.randn_like(other[name][2])
    _, changed = ours(policy, other, weights)
    assert max(float(gradient.abs().max()) for gradient in found.values()) > 1e-3
    assert_gradients_close(changed, found, TERMS, ROOM_OF[kind])
    assert all(not g.any() for g in ours(policy, batch, torch.zeros(4))[1].values())


@pytest.mark.parametrize("by_tick", [False, True], ids=["samples", "ticks"])
@pytest.mark.parametrize(("kind", "changes"), QUIET, ids=QUIET_NAMES)
def test_micro_batches_add_up_to_the_whole_step(
    kind: str, changes: dict[str, Any], by_tick: bool, tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    """With varying padding a mean of the micro-batches' own means would differ."""
    policy = tiny_policy(kind, **changes)
    batch, weights = tiny_batch(policy), torch.tensor([0.5, 2.0, 0.0, 1.5])
    noise = step_noise(policy, 4, torch.Generator().manual_seed(3))
    ticks = torch.rand(batch["action"].shape[:2], generator=torch.Generator().manual_seed(5))
    whole, wanted = ours(policy, batch, weights, noise, ticks if by_tick else None)
    policy.zero_grad()
    total, own_means = 0.0, 0.0
    for start, stop in ((0, 1), (1, 4)):
        some = part(batch, start, stop)
        terms = sample_losses(policy, some, noise.part(start, stop - start) if noise else None)
        own = ticks[start:stop] if by_tick else None
        loss = weighted_loss(terms, weights[start:stop], size_of(batch), own)
        loss.total.backward()
        total += float(loss.total.detach())
        own_means += float(weighted_loss(terms, weights[start:stop], size_of(some), own).total.detach()) / 2
    assert_close(total, whole, ELEMENTS, size=0.0)
    assert own_means != pytest.approx(float(whole), rel=1e-3)
    assert_gradients_close(gradients(policy), wanted, TERMS, ROOM_OF[kind])


@pytest.mark.parametrize(("kind", "changes"), QUIET, ids=QUIET_NAMES)
def test_drawing_a_sample_three_times_is_weighting_it_by_three(
    kind: str, changes: dict[str, Any], tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    """Frames drawn 1, 3, 0 and 0 times out of 4 and weighted 1, against the same weights in the loss.

    What the sampler really draws: `test_loss_and_sampler_have_the_same_expected_gradient`.
    """
    policy = tiny_policy(kind, **changes)
    batch, weights = tiny_batch(policy, padded=False), torch.tensor([1.0, 3.0, 0.0, 0.0])
    noise = step_noise(policy, 4, torch.Generator().manual_seed(3))
    _, wanted = ours(policy, batch, weights, noise)
    drawn = torch.tensor([0, 1, 1, 1])
    again = DiffusionNoise(noise.noise[drawn], noise.timesteps[drawn]) if noise else None
    _, found = ours(policy, {k: v[drawn] for k, v in batch.items()}, torch.ones(4), again)
    assert_gradients_close(found, wanted, TERMS, ROOM_OF[kind])


@settings(deadline=None, max_examples=50)
@given(
    weights=st.lists(st.floats(0, 5), min_size=3, max_size=3),
    valid=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_the_weighted_mean_is_the_sum_over_valid_elements(weights: list[float], valid: list[int]) -> None:
    error = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for sample in range(3):
        for t in range(valid[sample]):
            total += weights[sample] * float(error[sample, t].sum())
    expected = total / max(1, sum(valid) * 2)
    pad = torch.arange(4) >= torch.tensor(valid)[:, None]
    term = LossTerm(valid_errors(error, pad), "valid tick", 2)
    found = term.mean(torch.tensor(weights), StepSize(3, sum(valid)))
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(
    weights=st.lists(st.floats(0, 5), min_size=12, max_size=12),
    valid=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_the_mean_with_weights_of_ticks_is_the_sum_over_valid_elements(
    weights: list[float], valid: list[int]
) -> None:
    error = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0))
    ticks = torch.tensor(weights).reshape(3, 4)
    total = sum(
        float(ticks[sample, tick] * error[sample, tick].sum())
        for sample in range(3)
        for tick in range(valid[sample])
    )
    pad = torch.arange(4) >= torch.tensor(valid)[:, None]
    term = LossTerm(valid_errors(error, pad), "valid tick", 2)
    found = term.mean(torch.full((3,), torch.nan), StepSize(3, sum(valid)), ticks)
    assert float(found) == pytest.approx(total / max(1, sum(valid) * 2), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("kind", "changes"), VARIANTS[:4], ids=NAMES[:4])
def test_ticks_of_one_weight_are_a_sample_of_that_weight(
    kind: str, changes: dict[str, Any], tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    policy = tiny_policy(kind, **changes)
    batch, weights = tiny_batch(policy), torch.tensor([0.5, 2.0, 0.0, 1.5])
    loss, wanted = ours(policy, batch, weights)
    ticks = weights[:, None].expand(batch["action"].shape[:2])
    found, gradient = ours(policy, batch, weights, ticks=ticks)
    assert_close(found, loss, ELEMENTS, size=0.0)
    assert_gradients_close(gradient, wanted, TERMS, ROOM_OF[kind])


@pytest.mark.parametrize(("kind", "changes"), QUIET, ids=QUIET_NAMES)
def test_the_gradient_is_the_weighted_sum_of_that_of_each_tick(
    kind: str, changes: dict[str, Any], tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    """One tick after the other, alone: the slow reference."""
    policy = tiny_policy(kind, **changes)
    batch = tiny_batch(policy)
    noise = step_noise(policy, 4, torch.Generator().manual_seed(3))
    shape = batch["action"].shape[:2]
    ticks = torch.rand(shape, generator=torch.Generator().manual_seed(5)) * 2
    ticks[:, ::3] = 0
    _, found = ours(policy, batch, torch.ones(4), noise, ticks)
    wanted = {name: torch.zeros_like(gradient) for name, gradient in found.items()}
    for tick in range(shape[1]):
        alone = torch.zeros(shape)
        alone[:, tick] = ticks[:, tick]
        for name, gradient in ours(policy, batch, torch.ones(4), noise, alone)[1].items():
            wanted[name] += gradient
    assert_gradients_close(found, wanted, shape[1] * TERMS, ROOM_OF[kind])
    assert all(not g.any() for g in ours(policy, batch, torch.zeros(4), noise, 0 * ticks)[1].values())


def test_a_tick_of_weight_zero_is_nothing_to_imitate(tiny_policy: MakePolicy, tiny_batch: MakeBatch) -> None:
    """Whatever the action there is: ACT without its variational encoder sees no action but as a target."""
    policy = tiny_policy("act", use_vae=False, dropout=0.0, **SMALL)
    batch = tiny_batch(policy)
    ticks = torch.ones(batch["action"].shape[:2])
    ticks[1:3, 2:5] = 0
    _, wanted = ours(policy, batch, torch.ones(4), ticks=ticks)
    other = dict(batch)
    other["action"] = torch.where(ticks[:, :, None] > 0, batch["action"], 100 * torch.randn(6))
    _, found = ours(policy, other, torch.ones(4), ticks=ticks)
    assert_gradients_close(found, wanted, TERMS)
    _, all_count = ours(policy, other, torch.ones(4))
    assert max(float((all_count[name] - wanted[name]).abs().max()) for name in wanted) > 1e-2


def test_a_policy_without_losses_per_sample_is_refused(tiny_policy: MakePolicy) -> None:
    policy = tiny_policy("act")
    policy.config = type("Config", (), {"type": "vqbet"})()
    with pytest.raises(ValueError, match="vqbet"):
        sample_losses(policy, {})


def test_live_batch_norm_goes_back_into_lerobots_frozen_layers(
    tiny_policy: MakePolicy, tiny_batch: MakeBatch
) -> None:
    stock, live = tiny_policy("act"), tiny_policy("act")
    live_batch_norm(live)
    batch = tiny_batch(live)
    optimizer = torch.optim.SGD(live.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        weighted_loss(sample_losses(live, batch), torch.ones(4), size_of(batch)).total.backward()
        optimizer.step()
    state = frozen_state(live)
    assert state.keys() == stock.state_dict().keys()
    assert state["model.backbone.bn1.running_mean"].any()
    assert not torch.equal(state["model.backbone.bn1.weight"], torch.ones(64))
    stock.load_state_dict(state)
    expected = live.predict_action_chunk(batch)
    assert_close(stock.predict_action_chunk(batch), expected, TERMS)


def test_live_batch_norm_sees_all_cameras_together(tiny_policy: MakePolicy, tiny_batch: MakeBatch) -> None:
    policy = tiny_policy("act")
    batch = tiny_batch(policy)
    live_batch_norm(policy)
    batch["observation.images.wrist"] += 3.0
    stem = policy.model.backbone.conv1
    with torch.no_grad():
        both = stem(torch.cat([batch["observation.images.front"], batch["observation.images.wrist"]]))
        policy.model.backbone.bn1.momentum = 1.0
        sample_losses(policy, batch)
    found = policy.model.backbone.bn1
    assert_close(found.running_mean, both.mean((0, 2, 3)), TERMS)
    assert_close(found.running_var, both.var((0, 2, 3)), TERMS)
