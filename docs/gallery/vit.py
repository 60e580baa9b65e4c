import torch
import torch.nn.functional as F
from torch import nn


class VitBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(64)
        self.linear1 = nn.Linear(64, 192)
        self.linear2 = nn.Linear(64, 64)
        self.layer_norm2 = nn.LayerNorm(64)
        self.linear3 = nn.Linear(64, 256)
        self.linear4 = nn.Linear(256, 64)

    def forward(self, x):  # 65 x 64
        y, z, u = self.linear1(self.layer_norm1(x)).chunk(3, dim=2)  # each 65 x 64
        y = y.unflatten(2, (4, 16)).transpose(1, 2)  # 4 x 65 x 16
        z = z.unflatten(2, (4, 16)).transpose(1, 2)  # 4 x 65 x 16
        u = u.unflatten(2, (4, 16)).transpose(1, 2)  # 4 x 65 x 16
        y = F.scaled_dot_product_attention(y, z, u)  # 4 x 65 x 16
        x = self.linear2(y.transpose(1, 2).flatten(2)) + x  # 65 x 64
        y = F.gelu(self.linear3(self.layer_norm2(x)))  # 65 x 256
        return self.linear4(y) + x  # 65 x 64


class Net(nn.Module):
    """vit@84f96327:7c6d1b66c455575e

    im[3, 32, 32] -> vec[10]: 208,074 parameters, 15,139,968 MACs.

    im2col(4, s = 4) >> linear(64) >> class_token >> pos_enc(std = 0.02) >>
    (clone(2) >> (layer_norm >> clone(3) >> linear(64) ^ 3 >> attend(heads = 4) >>
    linear(64) & identity) >> add >> clone(2) >> (layer_norm >> linear(256) >>
    gelu >> linear(64) & identity) >> add) * 4 >> layer_norm >> first_token >>
    linear(10)
    """

    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(48, 64)
        self.class_token = nn.Parameter(torch.empty(1, 64))
        nn.init.normal_(self.class_token, 0.0, 0.02)
        self.pos_enc = nn.Parameter(torch.empty(65, 64))
        nn.init.normal_(self.pos_enc, 0.0, 0.02)
        self.vit_blocks = nn.Sequential(*(VitBlock() for _ in range(4)))
        self.layer_norm = nn.LayerNorm(64)
        self.linear2 = nn.Linear(64, 10)

    def forward(self, x):  # 3 x 32 x 32
        x = x.unflatten(2, (8, 4)).unflatten(4, (8, 4))  # 3 x 8 x 4 x 8 x 4
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(2)  # 64 x 48
        x = self.linear1(x)  # 64 x 64
        y = self.class_token.expand(x.shape[0], -1, -1)  # 1 x 64
        x = torch.cat([y, x], dim=1) + self.pos_enc  # 65 x 64
        x = self.vit_blocks(x)  # 65 x 64
        return self.linear2(self.layer_norm(x)[:, 0])  # 10
