import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm2 = nn.BatchNorm2d(channels)

    def forward(self, x):  # channels x h x w
        y = F.relu(self.batch_norm1(self.conv1(x)))  # channels x h x w
        return F.relu(self.batch_norm2(self.conv2(y)) + x)  # channels x h x w


class DownBlock(nn.Module):
    def __init__(self, in_channels, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, channels, 3, stride=2, padding=1, bias=False
        )
        self.batch_norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(in_channels, channels, 1, stride=2, bias=False)
        self.batch_norm3 = nn.BatchNorm2d(channels)

    def forward(self, x):  # in_channels x h x w
        y = F.relu(self.batch_norm1(self.conv1(x)))  # channels x h/2 x w/2
        y = self.batch_norm2(self.conv2(y))  # channels x h/2 x w/2
        return F.relu(y + self.batch_norm3(self.conv3(x)))  # channels x h/2 x w/2


class Net(nn.Module):
    """resnet18@14b3a5f1:3c4f773b73c0dd82

    im[3, 224, 224] -> vec[1000]: 11,689,512 parameters, 1,814,073,344 MACs.

    conv(64, k = 7, s = 2, bias = false) >> batch_norm >> relu >> max_pool(k = 3,
    s = 2, p = 1) >> clone(2) >> (conv(64, bias = false) >> batch_norm >> relu >>
    conv(64, bias = false) >> batch_norm & identity) >> add >> relu >> (clone(2)
    >> (conv(64, bias = false) >> batch_norm >> relu >> conv(64, bias = false) >>
    batch_norm & identity) >> add >> relu) * 1 >> clone(2) >> (conv(128, s = 2,
    bias = false) >> batch_norm >> relu >> conv(128, bias = false) >> batch_norm &
    conv(128, k = 1, s = 2, bias = false) >> batch_norm) >> add >> relu >>
    (clone(2) >> (conv(128, bias = false) >> batch_norm >> relu >> conv(128, bias
    = false) >> batch_norm & identity) >> add >> relu) * 1 >> clone(2) >>
    (conv(256, s = 2, bias = false) >> batch_norm >> relu >> conv(256, bias =
    false) >> batch_norm & conv(256, k = 1, s = 2, bias = false) >> batch_norm) >>
    add >> relu >> (clone(2) >> (conv(256, bias = false) >> batch_norm >> relu >>
    conv(256, bias = false) >> batch_norm & identity) >> add >> relu) * 1 >>
    clone(2) >> (conv(512, s = 2, bias = false) >> batch_norm >> relu >> conv(512,
    bias = false) >> batch_norm & conv(512, k = 1, s = 2, bias = false) >>
    batch_norm) >> add >> relu >> (clone(2) >> (conv(512, bias = false) >>
    batch_norm >> relu >> conv(512, bias = false) >> batch_norm & identity) >> add
    >> relu) * 1 >> pool >> linear(1000)
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.batch_norm = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64), BasicBlock(64))
        self.layer2 = nn.Sequential(DownBlock(64, 128), BasicBlock(128))
        self.layer3 = nn.Sequential(DownBlock(128, 256), BasicBlock(256))
        self.layer4 = nn.Sequential(DownBlock(256, 512), BasicBlock(512))
        self.linear = nn.Linear(512, 1000)

    def forward(self, x):  # 3 x 224 x 224
        x = F.relu(self.batch_norm(self.conv(x)))  # 64 x 112 x 112
        x = self.layer1(F.max_pool2d(x, 3, stride=2, padding=1))  # 64 x 56 x 56
        x = self.layer2(x)  # 128 x 28 x 28
        x = self.layer3(x)  # 256 x 14 x 14
        x = self.layer4(x)  # 512 x 7 x 7
        return self.linear(x.mean((2, 3)))  # 1000
