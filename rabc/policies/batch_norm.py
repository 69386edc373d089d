"""Batch normalisation that trains, for policies whose layers are frozen in LeRobot.

LeRobot's ACT uses FrozenBatchNorm2d, which without pretrained statistics is the identity, so
a backbone trained from scratch is not normalised at all. Here the layers are trained as
BatchNorm2d; in evaluation both compute the same affine map from the same four tensors under the
same names, so the result goes back into LeRobot's layers.
"""

from collections import OrderedDict
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops.misc import FrozenBatchNorm2d


class JointBackbone(IntermediateLayerGetter):
    """The backbone, run once over all cameras of a training batch.

    ACT calls its backbone camera by camera. BatchNorm would then normalise each camera by its
    own batch statistics in training, but all by one running average in evaluation. One pass
    over all cameras makes both see the same mixture. Parameter names do not change.
    """

    def __init__(self, backbone: IntermediateLayerGetter) -> None:
        super().__init__(backbone, dict(backbone.return_layers))
        self._features: list[OrderedDict[str, Tensor]] = []

    def prepare(self, images: list[Tensor]) -> None:
        """Encode all cameras; the next `len(images)` calls return their features in turn.

        Args:
            images: one (B, 3, H, W) tensor per camera, in the order of the calls.
        """
        self._features.clear()
        if len(images) < 2 or len({tuple(image.shape) for image in images}) > 1:
            return
        features = super().forward(torch.cat(images))
        parts = {name: value.chunk(len(images)) for name, value in features.items()}
        self._features = [
            OrderedDict((name, part[i]) for name, part in parts.items()) for i in range(len(images))
        ]

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Features of one camera: (B, C, h, w) under each name of `return_layers`."""
        if self._features:
            return self._features.pop(0)
        return super().forward(x)


def live_batch_norm(policy: nn.Module) -> None:
    """Replace, in place, every FrozenBatchNorm2d of an ACT policy by a BatchNorm2d of equal values."""
    for module in list(policy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, FrozenBatchNorm2d):
                setattr(module, name, _thawed(child))
    model = cast(Any, policy).model
    if isinstance(getattr(model, "backbone", None), IntermediateLayerGetter):
        model.backbone = JointBackbone(model.backbone)
        model.register_forward_pre_hook(_encode_jointly)


def frozen_state(policy: nn.Module) -> dict[str, Tensor]:
    """State for LeRobot's own frozen layers: the same names, contiguous, detached.

    Only the counter that FrozenBatchNorm2d does not have is dropped.
    """
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in policy.state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }


def _thawed(frozen: FrozenBatchNorm2d) -> nn.BatchNorm2d:
    weight = cast(Tensor, frozen.weight)
    layer = nn.BatchNorm2d(weight.numel(), eps=frozen.eps).to(weight.device)
    layer.load_state_dict(frozen.state_dict(), strict=False)
    return layer


def _encode_jointly(model: nn.Module, arguments: tuple[Any, ...]) -> None:
    images = arguments[0].get("observation.images")
    if model.training and images:
        cast(JointBackbone, model.backbone).prepare(list(images))
