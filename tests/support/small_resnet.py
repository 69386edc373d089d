"""A ResNet-18 of a quarter of the width, under a name that LeRobot's policies accept.

`vision_backbone: resnet_small` is torchvision's own network of 0.7 instead of 11 million weights, which are
what a step, an average and a checkpoint of a tiny policy would cost otherwise. Known to the processes of the
tests alone: what LeRobot is to load by itself keeps ResNet-18.
"""

from typing import Any

import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

NAME = "resnet_small"
_NARROWER = 4  # LeRobot makes a group of 16 channels, and there have to be some


class SmallResNet(ResNet):
    def __init__(self, weights: None = None, **settings: Any) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], **settings)
        self.fc = nn.Linear(512 // _NARROWER, 1)  # whose width LeRobot reads

    def _make_layer(self, block: Any, planes: int, *settings: Any, **named: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // _NARROWER, *settings, **named)


setattr(torchvision.models, NAME, SmallResNet)
