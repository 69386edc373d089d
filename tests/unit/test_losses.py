"""Losses against LeRobot's own ACT policy: equal loss and gradients at weight 1, none at weight 0."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from torch import Tensor

from rabc.batch_norm import frozen_state, live_batch_norm
from rabc.losses import reconstruction_losses, sample_losses, weighted_loss

CHUNK = 5


def make_policy(**changes: Any) -> ACTPolicy:
    torch.manual_seed(0)
    camera = PolicyFeature(FeatureType.VISUAL, (3, 32, 32))
    config = ACTConfig(
        input_features={
            "observation.images.front": camera,
            "observation.images.wrist": camera,
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        device="cpu",
        pretrained_backbone_weights=None,
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        dim_model=32,
        n_heads=4,
        dim_feedforward=64,
        n_encoder_layers=1,
        latent_dim=8,
        **changes,
    )
    return ACTPolicy(config).train()


def make_batch(size: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    # The first sample keeps all its actions, the last only one: padding varies within the batch.
    valid = torch.linspace(CHUNK, 1, size).round()
    return {
        "observation.images.front": torch.randn(size, 3, 32, 32, generator=generator),
        "observation.images.wrist": torch.randn(size, 3, 32, 32, generator=generator),
        "observation.state": torch.randn(size, 6, generator=generator),
        "action": torch.randn(size, CHUNK, 6, generator=generator),
        "action_is_pad": torch.arange(CHUNK) >= valid[:, None],
    }


def gradients(policy: ACTPolicy) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def ours(policy: ACTPolicy, batch: dict[str, Tensor], weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    policy.zero_grad()
    torch.manual_seed(7)  # dropout and latent
    loss = weighted_loss(sample_losses(policy, batch), weights)
    loss.total.backward()
    return loss.total.detach(), gradients(policy)


@pytest.mark.parametrize("use_vae", [True, False])
def test_weights_of_one_give_lerobots_loss_and_gradients(use_vae: bool) -> None:
    policy, batch = make_policy(use_vae=use_vae), make_batch()
    loss, found = ours(policy, batch, torch.ones(4))
    policy.zero_grad()
    torch.manual_seed(7)
    expected, parts = policy(batch)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=1e-6)
    wanted = gradients(policy)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6, msg=name)
    torch.manual_seed(7)
    named = weighted_loss(sample_losses(policy, batch), torch.ones(4))
    assert named.reconstruction.item() == pytest.approx(parts["l1_loss"], rel=1e-6)
    if use_vae:
        assert named.regularisation.item() == pytest.approx(parts["kld_loss"], rel=1e-6)


def test_sample_of_weight_zero_gives_no_gradient() -> None:
    policy, batch = make_policy(dropout=0.0), make_batch()
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0])
    _, found = ours(policy, batch, weights)
    other = {name: value.clone() for name, value in batch.items()}
    for name in ("observation.images.front", "observation.state", "action"):
        other[name][2] = 100 * torch.randn_like(other[name][2])
    _, changed = ours(policy, other, weights)
    assert max(float(gradient.abs().max()) for gradient in found.values()) > 1e-3
    for name, gradient in found.items():
        torch.testing.assert_close(changed[name], gradient, rtol=0, atol=1e-6, msg=name)
    assert all(not g.any() for g in ours(policy, batch, torch.zeros(4))[1].values())


@settings(deadline=None, max_examples=50)
@given(
    weights=st.lists(st.floats(0, 5), min_size=3, max_size=3),
    valid=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_reconstruction_sums_valid_elements(weights: list[float], valid: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, actions = torch.randn(2, 3, 4, 2, generator=generator)
    total = 0.0
    for sample in range(3):
        for t in range(valid[sample]):
            total += weights[sample] * float((predicted - actions)[sample, t].abs().sum())
    expected = total / max(1, sum(valid) * 2)
    pad = torch.arange(4) >= torch.tensor(valid)[:, None]
    found = (torch.tensor(weights) * reconstruction_losses(predicted, actions, pad)).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_live_batch_norm_goes_back_into_lerobots_frozen_layers() -> None:
    stock, live = make_policy(), make_policy()
    live_batch_norm(live)
    batch = make_batch()
    optimizer = torch.optim.SGD(live.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        weighted_loss(sample_losses(live, batch), torch.ones(4)).total.backward()
        optimizer.step()
    state = frozen_state(live)
    assert state.keys() == stock.state_dict().keys()
    assert state["model.backbone.bn1.running_mean"].any()
    assert not torch.equal(state["model.backbone.bn1.weight"], torch.ones(64))
    stock.load_state_dict(state)
    expected = live.predict_action_chunk(batch)
    torch.testing.assert_close(stock.predict_action_chunk(batch), expected, rtol=1e-4, atol=1e-5)


def test_live_batch_norm_sees_all_cameras_together() -> None:
    policy, batch = make_policy(), make_batch()
    live_batch_norm(policy)
    batch["observation.images.wrist"] += 3.0
    stem = policy.model.backbone.conv1
    with torch.no_grad():
        both = stem(torch.cat([batch["observation.images.front"], batch["observation.images.wrist"]]))
        policy.model.backbone.bn1.momentum = 1.0
        sample_losses(policy, batch)
    found = policy.model.backbone.bn1
    torch.testing.assert_close(found.running_mean, both.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.running_var, both.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
