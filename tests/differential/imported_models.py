"""Networks as people write them in torch, to be imported."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# calling a module of torch gives Any

from __future__ import annotations

import math
import random
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --- residual networks, as torchvision has them


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample: nn.Module | None = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class BottleneckBlock(nn.Module):
    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out = planes * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(inplanes, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inplanes != out:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNet(nn.Module):
    def __init__(
        self, block: type[BasicBlock | BottleneckBlock], layers: tuple[int, ...], width: int = 64, classes: int = 1000
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        inplanes, stages = width, []
        for number, count in enumerate(layers):
            blocks = []
            for at in range(count):
                blocks.append(block(inplanes, width << number, 2 if number and not at else 1))
                inplanes = (width << number) * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layers = nn.Sequential(*stages)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(inplanes, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = torch.flatten(self.avgpool(self.layers(x)), 1)
        return self.fc(x)


# --- vision transformers, with four ways of writing attention


class PackedAttention(nn.Module):
    """Queries, keys and values of one linear map; `fused` takes torch's function."""

    def __init__(self, d: int, heads: int, fused: bool = False, p: float = 0.0) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.proj, self.drop = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            scores = (q * (d // self.heads) ** -0.5) @ k.transpose(-2, -1)
            x = self.drop(scores.softmax(dim=-1)) @ v
        return self.proj(x.transpose(1, 2).reshape(b, n, d))


class ChunkedAttention(nn.Module):
    """Chunks along the features, heads by `view`, a division by the root."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv, self.to_out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
        weights = F.softmax(torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(d // self.heads), dim=-1)
        return self.to_out(torch.einsum("bhij,bhjd->bhid", weights, v).transpose(1, 2).flatten(2))


class SeparateAttention(nn.Module):
    """A linear map for each of the three, one product for all heads and examples."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        a = d // self.heads
        q, k, v = (f(x).view(b, n, self.heads, a).transpose(1, 2).reshape(-1, n, a) for f in (self.q, self.k, self.v))
        y = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)) * a**-0.5, -1), v)
        return self.o(y.view(b, self.heads, n, a).transpose(1, 2).contiguous().view(b, n, d))


class TorchAttention(nn.Module):
    def __init__(self, d: int, heads: int, p: float = 0.0) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(d, heads, dropout=p, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class EncoderBlock(nn.Module):
    def __init__(self, d: int, attention: nn.Module, p: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(d, eps=1e-6), attention, nn.LayerNorm(d, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Dropout(p), nn.Linear(4 * d, d), nn.Dropout(p))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, blocks: list[nn.Module], d: int = 32, patch: int = 4, size: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, d, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d))
        self.pos_embed = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, d) * 0.02)
        self.blocks, self.norm, self.head = nn.ModuleList(blocks), nn.LayerNorm(d), nn.Linear(d, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class TorchEncoder(nn.Module):
    """torch's own layers; `first` puts the norms first."""

    def __init__(self, first: bool, d: int = 16, depth: int = 2) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            d, 4, 2 * d, dropout=0.1, activation="gelu", batch_first=True, norm_first=first
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x).mean(dim=1)


# --- mixers


class MixerBlock(nn.Module):
    def __init__(self, tokens: int, d: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.tokens = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.channels = nn.Sequential(nn.Linear(d, 3 * d), nn.GELU(), nn.Linear(3 * d, d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, d: int = 24, patch: int = 4, size: int = 16, depth: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.patch, self.embed = patch, nn.Linear(3 * patch * patch, d)
        self.blocks = nn.Sequential(*(MixerBlock((size // patch) ** 2, d) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, classes)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        p = self.patch
        x = x.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return self.head(self.norm(self.blocks(self.embed(x))).mean(dim=1))


# --- U-Net


def double_conv(c: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (c, out):
        layers += [nn.Conv2d(before, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (8, 16, 32), classes: int = 2, bilinear: bool = False) -> None:
        super().__init__()
        self.inc = double_conv(3, widths[0])
        self.downs = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), double_conv(a, b)) for a, b in pairwise(widths))
        pairs = [(b, a) for a, b in pairwise(widths)][::-1]
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(a, b, 1))
            if bilinear
            else nn.ConvTranspose2d(a, b, 2, 2)
            for a, b in pairs
        )
        self.convs = nn.ModuleList(double_conv(2 * b, b) for _, b in pairs)
        self.out = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.inc(x)]
        for down in self.downs:
            kept.append(down(kept[-1]))
        x = kept.pop()
        for up, conv in zip(self.ups, self.convs, strict=True):
            x = conv(torch.cat([kept.pop(), up(x)], dim=1))
        return self.out(x)


# --- language models


class NewGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class CausalAttention(nn.Module):
    bias: Tensor

    def __init__(self, d: int, heads: int, length: int, p: float) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.attn_dropout, self.resid_dropout, self.heads = nn.Dropout(p), nn.Dropout(p), heads
        self.register_buffer("bias", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.size()
        q, k, v = self.c_attn(x).split(d, dim=2)
        k = k.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        q = q.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        v = v.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
        y = self.attn_dropout(F.softmax(att, dim=-1)) @ v
        y = y.transpose(1, 2).contiguous().view(b, t, d)
        return self.resid_dropout(self.c_proj(y))


class GPT(nn.Module):
    def __init__(
        self, vocab: int = 50, length: int = 12, d: int = 32, heads: int = 4, depth: int = 2, p: float = 0.0
    ) -> None:
        super().__init__()
        self.wte, self.wpe, self.drop = nn.Embedding(vocab, d), nn.Embedding(length, d), nn.Dropout(p)
        self.attns = nn.ModuleList(CausalAttention(d, heads, length, p) for _ in range(depth))
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(d, 4 * d), NewGELU(), nn.Linear(4 * d, d)) for _ in range(depth)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2 * depth + 1))
        self.lm_head = nn.Linear(d, vocab, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx: Tensor) -> Tensor:
        pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device)
        x = self.drop(self.wte(idx) + self.wpe(pos))
        for number, (attn, mlp) in enumerate(zip(self.attns, self.mlps, strict=True)):
            x = x + attn(self.norms[2 * number](x))
            x = x + mlp(self.norms[2 * number + 1](x))
        return self.lm_head(self.norms[-1](x))


# --- the rest


class MLP(nn.Module):
    def __init__(self, d: int = 12, hidden: int = 20, classes: int = 3) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(d, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class SqueezeExcite(nn.Module):
    """Gates for channels, by convolutions of 1 × 1."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1, self.fc2, self.conv = nn.Conv2d(c, c // 2, 1), nn.Conv2d(c // 2, c, 1), nn.Conv2d(3, c, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        gate = torch.sigmoid(self.fc2(F.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))
        return (x * gate).mean((2, 3))


class RMSNorm(nn.Module):
    def __init__(self, d: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Gated(nn.Module):
    """A norm by hand and a gated feed-forward layer."""

    def __init__(self, d: int = 16) -> None:
        super().__init__()
        self.norm = RMSNorm(d)
        self.w1, self.w2, self.w3 = (
            nn.Linear(d, 32, bias=False),
            nn.Linear(32, d, bias=False),
            nn.Linear(d, 32, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class Dense(nn.Module):
    """Each layer reads all before it."""

    def __init__(self, depth: int = 3, growth: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 + growth * n, growth, 3, padding=1) for n in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for conv in self.convs:
            found.append(F.relu(conv(torch.cat(found, 1))))
        return torch.cat(found, 1)


class Woven(nn.Module):
    """Branches that read each other: no tree."""

    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        a = torch.tanh(self.a(x))
        b = torch.relu(self.b(a + x))
        c = self.c(a * b)
        return self.d(b) + c + a


# --- several inputs and results, windows, stochastic depth


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(8, 6), nn.Linear(4, 6)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.relu(self.f(x) + self.g(y)[:, None])


class SeveralResults(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(8, 6), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = torch.relu(x)
        return self.f(h), self.g(h), h


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x, y)


class SequenceFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layer(x.transpose(0, 1), mask).transpose(0, 1)


class Windows(nn.Module):
    """Attention within windows of an image whose channels come last."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        y = self.norm(x).view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(y).reshape(-1, 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        y = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 4, c))
        return x + y.view(b, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)


class StochasticDepth(nn.Module):
    def __init__(self, p: float = 0.25) -> None:
        super().__init__()
        self.f, self.keep = nn.Linear(8, 8), 1 - p

    def forward(self, x: Tensor) -> Tensor:
        y = self.f(x)
        if self.training:
            mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(self.keep)
            y = y * mask.div_(self.keep)
        return x + y


class DrawnSteps(nn.Module):
    """A network of `size` steps, each of which reads one or two of the last ones before it."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__()
        drawn = random.Random(seed)
        kinds = "linear linear tanh add add mul halves cat minus".split()
        self.steps = [
            (drawn.choice(kinds), max(0, n - int(drawn.random() * 4)), max(0, n - int(drawn.random() * 4)))
            for n in range(size)
        ]
        widths = {"linear": 8, "cat": 16}
        self.layers = nn.ModuleList(nn.Linear(widths[k], 8) if k in widths else nn.Identity() for k, _, _ in self.steps)

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for (kind, a, b), layer in zip(self.steps, self.layers, strict=True):
            made.append(self.step(kind, made[a], made[b], layer))
        return made[-1] + made[-2]

    def step(self, kind: str, one: Tensor, other: Tensor, layer: nn.Module) -> Tensor:
        match kind:
            case "linear":
                return layer(one)
            case "tanh":
                return torch.tanh(one)
            case "add":
                return one + other
            case "mul":
                return one * other
            case "minus":
                return one - other
            case "halves":
                a, b = one.chunk(2, -1)
                return torch.cat((b, a * b), -1)
            case _:
                return layer(torch.cat((one, other), -1))
