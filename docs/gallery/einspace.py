import torch
import torch.nn.functional as F
from torch import nn


class Route(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(16, 256)
        self.linear2 = nn.Linear(16, 256)

    def forward(self, x, y):  # each 64 x 16
        x, z = self.linear1(x).chunk(2, dim=2)  # each 64 x 128
        y, u = self.linear2(y).chunk(2, dim=2)  # each 64 x 128
        return torch.cat([x, y, z, u], dim=2).transpose(1, 2)  # 512 x 64


class Net(nn.Module):
    """einspace@283bb00e:2aa014ce0aafc1e2

    im[3, 32, 32] -> vec[10]: 40,074 parameters, 2,126,848 MACs.

    im2col(1, s = 2) >> linear(32) >> leaky_relu >> identity >> split(4, 1) >>
    (identity >> clone(2) >> (softmax & softmax) >> concat(2) >> split(4, 2) >>
    (clone(8) >> linear(16) ^ 8 >> concat(2)) ^ 4 >> concat(2) >> permute((2, 1)))
    ^ 4 >> add >> readout(10)
    """

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 32)
        self.route1 = Route()
        self.route2 = Route()
        self.route3 = Route()
        self.route4 = Route()
        self.readout = nn.Linear(512, 10)

    def forward(self, x):  # 3 x 32 x 32
        x = x.unflatten(2, (16, 2)).unflatten(4, (16, 2))  # 3 x 16 x 2 x 16 x 2
        x = x[:, :, :, 0][:, :, :, :, 0].permute(0, 2, 3, 1)  # 16 x 16 x 3
        x = F.leaky_relu(self.linear(x.flatten(1, 2)))  # 256 x 32
        x = x.softmax(-1)  # 256 x 32
        x, y, _, _ = torch.cat([x, x], dim=2).chunk(4, dim=2)  # each 256 x 16
        x, z, u, v = x.chunk(4, dim=1)  # each 64 x 16
        y, w, x1, x2 = y.chunk(4, dim=1)  # each 64 x 16
        x = self.route1(x, y) + self.route2(z, w)  # 512 x 64
        x = x + self.route3(u, x1) + self.route4(v, x2)  # 512 x 64
        return self.readout(x.mean(-1))  # 10
