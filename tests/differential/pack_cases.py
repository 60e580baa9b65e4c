"""What operators and blocks of the packs compute, in torch; see form_cases.py. Buffers come after the parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi

import torch
import torch.nn.functional as F
from form_cases import Form
from torch import Tensor

# --- metamixer


def _normed(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return F.batch_norm(x, mean, var, weight, bias)


def _dw_bn(x: Tensor, kernel: Tensor, *norm: Tensor) -> Tensor:
    return _normed(F.conv2d(x, kernel, padding=kernel.shape[2] // 2, groups=x.shape[1]), *norm)


def _fused(kernel: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """One convolution in place of a convolution and the norm behind it."""
    scale = weight / (var + 1e-5).sqrt()
    return kernel * scale[:, None, None, None], bias - mean * scale


def _repvgg(x: Tensor, *given: Tensor, s: int = 1) -> Tensor:
    """As after fusion: the small kernel lies in the middle of the large one."""
    large, w1, b1, small, w2, b2, m1, v1, m2, v2 = given
    kernel, bias = _fused(large, w1, b1, m1, v1)
    inner, other = _fused(small, w2, b2, m2, v2)
    edge = (large.shape[2] - 3) // 2
    whole = kernel + F.pad(inner, (edge,) * 4)
    return F.conv2d(x, whole, bias + other, stride=s, padding=large.shape[2] // 2, groups=x.shape[1])


def _interact(q: Tensor, k: Tensor, v: Tensor, f: Callable[[Tensor], Tensor] = F.gelu) -> Tensor:
    return f(q @ k.mT / q.shape[2] ** 0.5) @ v


def _depthwise(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, kernel, bias, padding=kernel.shape[2] // 2, groups=x.shape[1])


def _ffn_attention(x: Tensor, *given: Tensor) -> Tensor:
    query, w, b, keys, key_bias, values, value_bias, mean, var = given
    x = _normed(F.conv2d(x, query), w, b, mean, var)
    return _depthwise(_depthwise(x, keys, key_bias).relu(), values, value_bias)


def _channel_mixer(x: Tensor, *given: Tensor) -> Tensor:
    kernel, w, b, wide, wide_bias, back, back_bias, mean, var = given
    x = _dw_bn(x, kernel, w, b, mean, var)
    return F.conv2d(F.gelu(F.conv2d(x, wide, wide_bias)), back, back_bias)


def _ff_block(x: Tensor, *given: Tensor) -> Tensor:
    (kernel, bias, scale, *mixer), (other,), norm = given[:10], given[10:11], given[11:]
    x = x + scale[:, None, None] * _depthwise(x, kernel, bias)
    return x + other[:, None, None] * _channel_mixer(x, *mixer, *norm)


# --- graphs


def _normalised(adj: Tensor) -> Tensor:
    loops = [one + torch.eye(len(one)) for one in adj]
    roots = [torch.diag(one.sum(1) ** -0.5) for one in loops]
    return torch.stack([root @ one @ root for root, one in zip(roots, loops, strict=True)])


def _sage(x: Tensor, adj: Tensor, own: Tensor, bias: Tensor, others: Tensor) -> Tensor:
    """Node by node: the mean of its neighbours, if it has any."""
    graphs = []
    for nodes, edges in zip(x, adj, strict=True):
        means = [(row[:, None] * nodes).sum(0) / row.sum().clamp(min=1) for row in edges]
        graphs.append(nodes @ own.T + bias + torch.stack(means) @ others.T)
    return torch.stack(graphs)


def _gat(x: Tensor, adj: Tensor, src: Tensor, dst: Tensor, weight: Tensor) -> Tensor:
    """Node by node, over the neighbours alone."""
    graphs = []
    for nodes, edges in zip(x @ weight.T, adj, strict=True):
        rows = []
        for node, row in zip(nodes, edges, strict=True):
            near = nodes[row > 0]
            rows.append(F.leaky_relu(node @ src + near @ dst, 0.2).softmax(0) @ near)
        graphs.append(torch.stack(rows))
    return torch.stack(graphs)


# --- experts


def _gated(x: Tensor, g: Tensor, u: Tensor, down: Tensor, f: Callable[[Tensor], Tensor] = F.silu) -> Tensor:
    return F.linear(f(F.linear(x, g)) * F.linear(x, u), down)


def _experts(x: Tensor, *given: Tensor, n: int = 4, k: int = 2) -> Tensor:
    """Token by token, expert by expert."""
    g, u, down, router, bias = given
    experts = list(zip(g.chunk(n), u.chunk(n), down.chunk(n, 1), strict=True))
    rows = []
    for token in x.flatten(0, 1):
        best = F.linear(token, router, bias).argsort(descending=True)[:k]
        rows.append(sum((_gated(token, *experts[int(i)]) for i in best), torch.zeros(())) * (n // k))
    return torch.stack(rows).view_as(x)


# --- structured


def _block_dense(x: Tensor, v: Tensor, u: Tensor) -> Tensor:
    parts = [part @ block.T for part, block in zip(x.chunk(len(v), -1), v, strict=True)]
    return torch.cat(parts, -1) @ u.T


def shuffled(v: Tensor, u: Tensor) -> Tensor:
    """The dense matrix, entry by entry: the blocks of v give the features that those of u take in turn."""
    (b, small, q), steps = v.shape, u.shape[1]
    rows = []
    for place in range(steps * b):
        t, last = divmod(place, b)
        row = [torch.zeros(q) for _ in range(b)]
        for r in range(u.shape[2]):
            k, m = divmod(r * b + last, small)
            row[k] = row[k] + u[last, t, r] * v[k, m]
        rows.append(torch.cat(row))
    return torch.stack(rows)


# --- snnk


def _sine(x: Tensor, w: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """One feature after another."""
    total = torch.zeros(())
    for one in g:
        inputs = torch.exp(x @ one - x.square().sum(-1) / 2)
        weights = torch.exp(w.square().sum(-1) / 2) * torch.sin(w @ one + b)
        total = total + inputs[..., None] * weights
    return total / len(g)


# --- kan


def cox_de_boor(u: Tensor, i: int, order: int) -> Tensor:
    """The B-spline over the knots i, …, i + order + 1."""
    if order == 0:
        return ((i <= u) & (u < i + 1)).type_as(u)
    rising, falling = (u - i) / order, (i + order + 1 - u) / order
    return rising * cox_de_boor(u, i, order - 1) + falling * cox_de_boor(u, i + 1, order - 1)


def splines(x: Tensor, grid: int, order: int) -> Tensor:
    u = (x.clamp(-1, 1) + 1) * grid / 2
    return torch.stack([cox_de_boor(u, i, order) for i in range(-order, grid)], -1)


def _spline(x: Tensor, coef: Tensor, base: Tensor, order: int = 3) -> Tensor:
    basis = splines(x, coef.shape[2] - order, order)
    return torch.einsum("...dg,odg->...o", basis, coef) + F.linear(F.silu(x), base)


def _chebyshev(x: Tensor, coef: Tensor) -> Tensor:
    """By the recurrence."""
    z = x.tanh().clamp(-0.999999, 0.999999)
    terms = [torch.ones_like(z), z]
    while len(terms) < coef.shape[2]:
        terms.append(2 * z * terms[-1] - terms[-2])
    return sum((F.linear(term, coef[:, :, n]) for n, term in enumerate(terms)), torch.zeros(()))


def _bumps(x: Tensor, coef: Tensor, centre: Tensor) -> Tensor:
    grid = coef.shape[2]
    places = torch.linspace(-1, 1, grid)
    torch.testing.assert_close(centre, places)
    bumps = [torch.exp(-(((x - place) / (2 / (grid - 1))) ** 2)) for place in places]
    return sum((F.linear(bump, coef[:, :, g]) for g, bump in enumerate(bumps)), torch.zeros(()))


def _wavelet(x: Tensor, coef: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """One output after another."""
    found = []
    for weight, at, width in zip(coef, shift, scale, strict=True):
        z = (x - at) / width
        found.append((weight * (1 - z.square()) * torch.exp(-z.square() / 2)).sum(-1))
    return torch.stack(found, -1)


def _mixed(*given: Tensor) -> Tensor:
    """Of as many tensors as there are weights behind them."""
    *values, v, tau = given
    return sum((weight * value for weight, value in zip((v / tau).softmax(0), values, strict=True)), torch.zeros(()))


def _s_kan(x: Tensor, *given: Tensor) -> Tensor:
    coef, base, chebyshev, bumps, *wavelet, v, centre, tau = given
    families = (_spline(x, coef, base), _chebyshev(x, chebyshev), _bumps(x, bumps, centre), _wavelet(x, *wavelet))
    return _mixed(*families, v, tau)


# --- retrieval


def _maxsim(q: Tensor, doc: Tensor) -> Tensor:
    scores = []
    for queries, tokens in zip(q, doc, strict=True):
        best = [torch.stack([query @ token for token in tokens]).max() for query in queries]
        scores.append(torch.stack(best).sum())
    return torch.stack(scores)[:, None]


def _glu(x: Tensor, plain: Tensor, gate: Tensor, out: Tensor, f: Callable[[Tensor], Tensor] = F.silu) -> Tensor:
    return (x @ plain.T * f(x @ gate.T)) @ out.T


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)


def _colbert_ffn(x: Tensor, up: Tensor, more: Tensor, out: Tensor) -> Tensor:
    wide = F.gelu(x @ up.T)
    return _unit((wide + F.gelu(wide @ more.T)) @ out.T)


# --- mega


def _chunks(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, c: int = 3, causal: bool = True) -> Tensor:
    """Attention to all positions under a mask: the bias of a distance within a chunk, minus infinity outside."""
    heads, length = len(bias), q.shape[1]
    mask = torch.full((heads, length, length), -torch.inf)
    for i in range(length):
        for j in range(length):
            if i // c == j // c and (i >= j or not causal):
                mask = mask.index_put((torch.arange(heads), torch.tensor(i), torch.tensor(j)), bias[:, i - j + c - 1])
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def _gates(x: Tensor, m: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
    gamma, beta, weight, bias, wv, bv = given
    d, z, v = x.shape[2], gamma.shape[1], len(wv)
    u, base, r, hx = torch.tensor_split(F.linear(m, weight, bias), (d, d + z, d + z + v), 2)
    base = F.silu(base)
    return u.sigmoid(), F.silu(r), hx, base * gamma[0] + beta[0], base * gamma[1] + beta[1], F.silu(F.linear(x, wv, bv))


def _mega_out(x: Tensor, *given: Tensor) -> Tensor:
    u, r, hx, a, weight, bias = given
    return (1 - u) * x + u * F.silu(hx + F.linear(r * a, weight, bias))


def tcn(x: Tensor, *given: Tensor) -> Tensor:
    """Three dilated causal convolutions, each beside a shortcut."""
    for dilation, kernel, bias in zip((1, 2, 4), given[::2], given[1::2], strict=True):
        padded = F.pad(x.mT, (dilation * (kernel.shape[2] - 1), 0))
        x = x + F.gelu(F.conv1d(padded, kernel, bias, dilation=dilation, groups=x.shape[2]).mT)
    return x


def _mega(x: Tensor, *given: Tensor) -> Tensor:
    weight, bias, *rest = given
    normed = F.layer_norm(x, x.shape[2:], weight, bias)
    u, r, hx, q, k, v = _gates(normed, tcn(normed, *rest[:6]), *rest[6:12])
    return _mega_out(x, u, r, hx, _chunks(q, k, v, rest[12]), *rest[13:])


def _tcnca(x: Tensor, *given: Tensor) -> Tensor:
    *convolutions, weight, bias, wq, bq, wk, bk, wv, bv, far = given
    x = tcn(x, *convolutions)
    normed = F.layer_norm(x, x.shape[2:], weight, bias)
    q, k, v = (F.linear(normed, w, b) for w, b in ((wq, bq), (wk, bk), (wv, bv)))
    return x + _chunks(q, k, v, far)


# --- fields


def _gaussians(x: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """One unit after another."""
    units = zip(centre, scale, strict=True)
    return torch.stack([torch.exp(-(wide * (x - at)).square().sum(-1) / 2) for at, wide in units], -1)


def _looked_up(x: Tensor, table: Tensor) -> Tensor:
    whole = table.permute(2, 0, 1).expand(len(x), -1, -1, -1)
    places = (2 * x - 1)[:, :, None]
    return F.grid_sample(whole, places, padding_mode="border", align_corners=True)[..., 0].mT


def _fourier(x: Tensor, w: Tensor) -> Tensor:
    return torch.cat([(2 * pi * x @ w.T).sin(), (2 * pi * x @ w.T).cos()], 2)


def _cases(pack: str, rows: list[tuple[str, str, Callable[..., object]]]) -> dict[str, Form]:
    return {f"{use} {input}": (f"import {pack}\n", use, input, formula) for use, input, formula in rows}


IM, SEQ, GRAPH = "im[4, 6, 8]", "seq[6, 4]", "(nodes[5, 3], graph[5, 5])"

PACKS: dict[str, Form] = {
    **_cases(
        "metamixer",
        [
            ("dw_bn", IM, _dw_bn),
            ("dw_bn(k = 5)", "im[1, 3, 2]", _dw_bn),
            ("repvgg_dw", IM, _repvgg),
            ("repvgg_dw(5, s = 2)", "im[2, 7, 6]", partial(_repvgg, s=2)),
            ("interact", "(seq[5, 4], seq[6, 4], seq[6, 3])", _interact),
            ("interact(tanh)", "seq[6, 4] ^ 3", partial(_interact, f=torch.tanh)),
            ("ffn_attention(dwconv, dwconv(k = 5), act = relu)", IM, _ffn_attention),
            ("channel_mixer", IM, _channel_mixer),
            ("channel_mixer(k = 5, e = 1)", IM, _channel_mixer),
            ("ff_block(dwconv)", IM, _ff_block),
        ],
    ),
    **_cases(
        "graphs",
        [
            ("normalise_graph", "graph[5, 5]", _normalised),
            ("gcn(4)", GRAPH, lambda x, adj, w, b: adj @ F.linear(x, w, b)),
            ("gcn(4, bias = false)", GRAPH, lambda x, adj, w: adj @ x @ w.T),
            ("sage(4)", GRAPH, _sage),
            (
                "(identity & normalise_graph) >> gat(4)",
                GRAPH,
                lambda x, adj, *w: _gat(x, adj + torch.eye(5), *w),
            ),
            ("virtual_nodes(2)", "nodes[5, 3]", lambda x, v: torch.cat([x, v.expand(len(x), -1, -1)], 1)),
        ],
    ),
    **_cases(
        "experts",
        [
            ("gated_ffn(6)", "im[2, 3, 4]", _gated),
            ("gated_ffn(3, f = tanh)", "vec[5]", partial(_gated, f=torch.tanh)),
            ("expert_ffn(8, n = 4, k = 2)", SEQ, _experts),
            ("expert_ffn(6, n = 3, k = 1)", SEQ, partial(_experts, n=3, k=1)),
            ("expert_ffn(8, n = 4, k = 4)", SEQ, lambda x, g, u, down, *router: _gated(x, g, u, down)),
        ],
    ),
    **_cases(
        "structured",
        [
            ("lowrank(6, 2)", SEQ, lambda x, u, v, b: x @ (u @ v).T + b),
            ("lowrank(3, 3, bias = false)", "vec[5]", lambda x, u, v: x @ (u @ v).T),
            ("block_dense(5, 6, b = 2)", SEQ, _block_dense),
            ("block_dense(3, 4)", "im[2, 3, 8]", _block_dense),
            ("block_shuffle(12)", "seq[3, 8]", lambda x, v, u: x @ shuffled(v, u).T),
            ("block_shuffle(6, b = 3)", "vec[12]", lambda x, v, u: x @ shuffled(v, u).T),
        ],
    ),
    **_cases(
        "snnk",
        [
            ("snnk_relu(3, 5)", SEQ, lambda x, theta, g: (x @ g.T / 5**0.5).relu() @ theta.T),
            ("snnk_sine(3, 5)", SEQ, _sine),
        ],
    ),
    **_cases(
        "kan",
        [
            ("kan_spline(3)", SEQ, _spline),
            ("kan_spline(3, grid = 1)", "vec[4]", _spline),
            ("kan_spline_any(3)", SEQ, _spline),
            ("kan_spline_any(2, grid = 5, order = 1)", "im[2, 3, 4]", partial(_spline, order=1)),
            ("kan_spline_any(3, grid = 4, order = 4)", "vec[5]", partial(_spline, order=4)),
            ("kan_chebyshev(3)", SEQ, _chebyshev),
            ("kan_chebyshev(3, degree = 1)", "vec[5]", _chebyshev),
            ("kan_rbf(3)", SEQ, _bumps),
            ("kan_rbf(3, grid = 2)", "vec[5]", _bumps),
            ("kan_wavelet(3)", SEQ, _wavelet),
            ("select", "vec[5] ^ 3", _mixed),
            ("select", "im[2, 3, 4] ^ 2", _mixed),
            ("s_kan(3)", SEQ, _s_kan),
        ],
    ),
    **_cases(
        "retrieval",
        [
            ("maxsim", "(seq[4, 5], seq[6, 5])", _maxsim),
            ("glu(6, 3)", SEQ, _glu),
            ("glu(2, 3, f = sigmoid)", "vec[5]", partial(_glu, f=torch.sigmoid)),
            ("colbert(3)", SEQ, lambda x, w: _unit(x @ w.T)),
            ("colbert_ffn(3)", SEQ, _colbert_ffn),
            ("colbert_ffn(3, up = 1)", SEQ, _colbert_ffn),
            ("colbert_glu(6, 3)", SEQ, lambda x, *w: _unit(_glu(x, *w))),
        ],
    ),
    **_cases(
        "mega",
        [
            ("chunk_attend(3)", "(seq[6, 4], seq[6, 4], seq[6, 5])", _chunks),
            ("chunk_attend(2, heads = 2)", "(seq[6, 4], seq[6, 4], seq[6, 8])", partial(_chunks, c=2)),
            ("chunk_attend(3, causal = false)", "seq[6, 4] ^ 3", partial(_chunks, causal=False)),
            ("chunk_attend(2)", "seq[2, 4] ^ 3", partial(_chunks, c=2)),
            ("mega_gates(3, 5)", "seq[6, 4] ^ 2", _gates),
            ("mega_out", "(seq[6, 4], seq[6, 4], seq[6, 5], seq[6, 4], seq[6, 5])", _mega_out),
            ("tcn", "seq[9, 4]", tcn),
            ("tcn(k = 2)", SEQ, tcn),
            ("mega(3, z = 3, v = 5)", SEQ, _mega),
            ("tcnca(3)", SEQ, _tcnca),
        ],
    ),
    **_cases(
        "fields",
        [
            ("rbf(3)", "points[6, 2]", _gaussians),
            ("rbf(3, init = 0.5)", "im[2, 3, 4]", _gaussians),
            ("rbf_fast(3, init = 1)", "points[6, 2]", _gaussians),
            ("grid2d(4, 3)", "points[9, 2]", _looked_up),
            ("grid2d(2, 1)", "points[9, 2]", _looked_up),
            ("fourier_features(3, std = 0.5)", "points[6, 2]", _fourier),
        ],
    ),
}
