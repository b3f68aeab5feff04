"""Golden arrays: every preset's mixer, written down once more from the equations, in float64.

    python tests/golden/make.py [FOLDER]

Plain numpy, and neither the package nor torch: loops, recurrences and dense matrices where the
package has FFTs and fused products. Writes one .npz a mixer (parameters, input u (B, L, D), kernel
k, output y) and SHA256SUMS.

Axes: B batch, L length, D features, N modes.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

B, L, D = 2, 37, 4
Arrays = dict[str, np.ndarray]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    """x Phi(x), with the exact normal distribution function."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def convolve(k, x):
    """y_t = sum_{s <= t} k_{t-s} x_s, feature by feature: k (D, taps), x (B, L, D)."""
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        for lag in range(min(t + 1, k.shape[1])):
            y[:, t] += k[:, lag] * x[:, t - lag]
    return y


def toeplitz(h):
    """The lower-triangular matrix with h on its first column: (L, L)."""
    matrix = np.zeros((len(h), len(h)))
    for t in range(len(h)):
        for s in range(t + 1):
            matrix[t, s] = h[t - s]
    return matrix


def affine(p: Arrays, name: str, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def draw_affine(p: Arrays, rng, name: str, fan_in: int, fan_out: int) -> None:
    p[f"{name}.weight"] = rng.normal(size=(fan_out, fan_in)) / math.sqrt(fan_in)
    p[f"{name}.bias"] = 0.3 * rng.normal(size=fan_out)


def glu(p: Arrays, x):
    return affine(p, "output", x) * sigmoid(affine(p, "gate", x))


def s4d(rng, u):
    """x_t = abar x_{t-1} + bbar u_t, y_t = 2 Re(c x_t) + skip u_t, by the recurrence; then GLU."""
    p: Arrays = {"dt": np.exp(rng.uniform(np.log(0.01), 0, D)), "skip": rng.normal(size=D)}
    p["omega"] = np.tile(np.pi * np.arange(32), (D, 1)) + 0.1 * rng.normal(size=(D, 32))
    p["rate"] = np.exp(rng.normal(size=(D, 32)) * 0.3) / 2
    p["c"] = rng.normal(size=(D, 32)) + 1j * rng.normal(size=(D, 32))
    draw_affine(p, rng, "output", D, D)
    draw_affine(p, rng, "gate", D, D)
    pole = -p["rate"] + 1j * p["omega"]
    abar = np.exp(p["dt"][:, None] * pole)
    bbar = (abar - 1) / pole

    def run(signal):
        x, out = np.zeros((len(signal), D, 32), complex), []
        for t in range(signal.shape[1]):
            x = abar * x + bbar * signal[:, t, :, None]
            out.append(2 * (p["c"] * x).real.sum(-1))
        return np.stack(out, 1)

    impulse = np.zeros((1, L, D))
    impulse[:, 0] = 1
    return p, run(impulse)[0].T, glu(p, gelu(run(u) + p["skip"] * u))


def ema(rng, u):
    """h_t = p beta u_t + (1 - p a) h_{t-1}, y_t = gamma h_t / sqrt(N) + omega u_t; SiLU."""
    n = 16
    p: Arrays = {name: 0.2 * rng.normal(size=(D, n)) for name in ("delta", "alpha")}
    p["beta"] = np.where(np.arange(n) % 2, -1.0, 1.0) + 0.02 * rng.normal(size=(D, n))
    p["gamma"] = rng.normal(size=(D, n))
    p["skip"] = rng.normal(size=D)
    draw_affine(p, rng, "output", D, D)
    keep = sigmoid(p["delta"])
    q = 1 - keep * sigmoid(p["alpha"])

    def run(signal):
        h, out = np.zeros((len(signal), D, n)), []
        for t in range(signal.shape[1]):
            h = keep * p["beta"] * signal[:, t, :, None] + q * h
            out.append((p["gamma"] * h).sum(-1) / math.sqrt(n))
        return np.stack(out, 1)

    impulse = np.zeros((1, L, D))
    impulse[:, 0] = 1
    return p, run(impulse)[0].T, affine(p, "output", silu(run(u) + p["skip"] * u))


def interpolate(w, ratio: int):
    """Linear between half-pixel centres, held at the edges: (D, d) to (D, d ratio)."""
    d = w.shape[1]
    out = np.zeros((w.shape[0], d * ratio))
    for j in range(d * ratio):
        place = min(max((j + 0.5) / ratio - 0.5, 0), d - 1)
        left = int(place)
        right = min(left + 1, d - 1)
        out[:, j] = (1 - (place - left)) * w[:, left] + (place - left) * w[:, right]
    return out


def multiscale(w):
    """Scale i, stretched by 2^max(0, i-1) and weighed by 2^-i, one behind the other."""
    return np.concatenate(
        [0.5**i * interpolate(w[:, i], 2 ** max(0, i - 1)) for i in range(w.shape[1])], 1
    )


def sgconv(rng, u):
    """k = concatenated scales / (their L2 norm, all of them); conv, skip, GELU, GLU."""
    p: Arrays = {"w": rng.normal(size=(D, 4, 8)), "skip": rng.normal(size=D)}
    draw_affine(p, rng, "output", D, D)
    draw_affine(p, rng, "gate", D, D)
    raw = multiscale(p["w"])
    k = (raw / np.sqrt((raw**2).sum(1, keepdims=True)))[:, :L]
    return p, k, glu(p, gelu(convolve(k, u) + p["skip"] * u))


def squash(k, threshold: float):
    return np.where(k > threshold, k - threshold, np.where(k < -threshold, k + threshold, 0.0))


def long_conv(rng, u):
    """k = squash(taps, .001), two filters a feature (filter-major), GELU, GLU over both."""
    p: Arrays = {"taps": 0.002 * rng.normal(size=(2 * D, L)), "skip": rng.normal(size=2 * D)}
    draw_affine(p, rng, "output", 2 * D, D)
    draw_affine(p, rng, "gate", 2 * D, D)
    k = squash(p["taps"], 0.001)
    x = np.concatenate([u, u], -1)
    return p, k, glu(p, gelu(convolve(k, x) + p["skip"] * x))


def implicit(p: Arrays, rng, *, features: int, width: int, std: float, frequency: float):
    """A sine network of [t, cos, -sin], two inner layers, times the exponential window."""
    sizes = [features, width, width, width]
    for i in range(3):
        p[f"hidden{i}.weight"] = std * rng.normal(size=(sizes[i + 1], sizes[i]))
        p[f"hidden{i}.bias"] = std * rng.normal(size=sizes[i + 1])
    p["out.weight"] = std * rng.normal(size=(D, width))
    p["frequency"] = frequency * (1 + 0.1 * rng.normal(size=width))
    bands = (features - 1) // 2
    f = np.linspace(1e-4, bands - 1, bands)
    t = np.arange(L) / (L - 1)
    phase = 2 * np.pi * np.arange(L)[:, None] / L * f
    x = np.concatenate([t[:, None], np.cos(phase), -np.sin(phase)], 1)
    for i in range(3):
        x = np.sin(p["frequency"] * affine(p, f"hidden{i}", x))
    delta = np.linspace(np.log(0.01) / 1.5, np.log(0.01) / 0.3, D)
    return (x @ p["out.weight"].T * np.exp(-np.abs(delta) * t[:, None])).T


def short(p: Arrays, name: str, u):
    """x_t = c + sum_s w_s z_{t-s}: a projection, then three taps of each feature's own."""
    return convolve(p[f"{name}.taps"], affine(p, name, u)) + p[f"{name}.short_bias"]


def draw_shorts(p: Arrays, rng) -> None:
    for name in ("value", "pre", "post"):
        draw_affine(p, rng, name, D, D)
        p[f"{name}.taps"] = 0.5 * rng.normal(size=(D, 3))
        p[f"{name}.short_bias"] = 0.5 * rng.normal(size=D)


def hyena(rng, u):
    """y = W D_x0 (T_h + b I) D_x1 v + c, with the matrices written out."""
    p: Arrays = {"skip": rng.normal(size=D)}
    draw_shorts(p, rng)
    draw_affine(p, rng, "output", D, D)
    k = implicit(p, rng, features=33, width=64, std=0.1, frequency=14)
    v, x1, x0 = (short(p, name, u) for name in ("value", "pre", "post"))
    y = np.zeros_like(u)
    for d in range(D):
        middle = toeplitz(k[d]) + p["skip"][d] * np.eye(L)
        for b in range(B):
            y[b, :, d] = np.diag(x0[b, :, d]) @ middle @ np.diag(x1[b, :, d]) @ v[b, :, d]
    return p, k, affine(p, "output", y)


def base_conv_short(rng, u):
    """(W u + b1) * (h * u + b2) + u, h of three taps."""
    p: Arrays = {"taps": rng.normal(size=(D, 3)), "bias": rng.normal(size=D)}
    draw_affine(p, rng, "output", D, D)
    k = p["taps"]
    return p, k, affine(p, "output", u) * (convolve(k, u) + p["bias"]) + u


def base_conv_long(rng, u):
    """(W u + b1) * (h * u + u + b2) + u, h implicit."""
    p: Arrays = {"bias": rng.normal(size=D)}
    draw_affine(p, rng, "output", D, D)
    k = implicit(p, rng, features=3, width=16, std=0.5, frequency=1)
    return p, k, affine(p, "output", u) * (convolve(k, u) + u + p["bias"]) + u


def attention(rng, u):
    """y_t = W sum_{s <= t} softmax_s(q_t k_s / sqrt(D)) v_s + b, row by row."""
    p: Arrays = {}
    for name in ("query", "key", "value", "output"):
        draw_affine(p, rng, name, D, D)
    q, key, v = (affine(p, name, u) for name in ("query", "key", "value"))
    y = np.zeros_like(u)
    for b in range(B):
        for t in range(L):
            weight = np.exp(key[b, : t + 1] @ q[b, t] / math.sqrt(D))
            y[b, t] = weight @ v[b, : t + 1] / weight.sum()
    return p, np.zeros((0, 0)), affine(p, "output", y)


def all_on(rng, u):
    """k = squash(mean of 3 neighbours(scales), .05) / its norm; W (x0 gelu(conv(x1 v))) + b."""
    p: Arrays = {"w": rng.normal(size=(D, 4, 8)), "skip": rng.normal(size=D)}
    draw_shorts(p, rng)
    draw_affine(p, rng, "output", D, D)
    padded = np.pad(multiscale(p["w"])[:, :L], ((0, 0), (1, 1)))
    k = squash((padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3, 0.05)
    k = k / np.sqrt((k**2).sum(1, keepdims=True))
    v, x1, x0 = (short(p, name, u) for name in ("value", "pre", "post"))
    return p, k, affine(p, "output", x0 * gelu(convolve(k, x1 * v) + p["skip"] * x1 * v))


def both_ways(k, x):
    """sum_{s <= t} k_{t-s} x_s + sum_{s > t} h_{s-t-1} x_s, k over h in one array (2 D, taps)."""
    forward, backward = np.split(k, 2)
    later = convolve(backward, x[:, ::-1])[:, ::-1]
    return convolve(forward, x) + np.concatenate([later[:, 1:], np.zeros_like(x[:, :1])], 1)


def power_law(exponent, length: int):
    return (1 + np.arange(length)) ** -exponent


def concatenated(w, s0: int, alpha):
    """Scale i is d 2^s0, d 2^s0, 2 d 2^s0, ... taps long and weighs alpha^i, alpha (D, 1)."""
    ratios = [2 ** (max(0, i - 1) + s0) for i in range(w.shape[1])]
    return np.concatenate(
        [alpha**i * interpolate(w[:, i], r) for i, r in enumerate(ratios)], axis=1
    )


def summed(w, alpha: float):
    """Scale i is 2^i d taps long, from lag 0 on, and weighs alpha^i."""
    k = np.zeros((w.shape[0], w.shape[2] * 2 ** (w.shape[1] - 1)))
    for i in range(w.shape[1]):
        piece = interpolate(w[:, i], 2**i)
        k[:, : piece.shape[1]] += alpha**i * piece
    return k


def sgconv_summed(rng, u):
    """As sgconv, with the scales one above the other."""
    p: Arrays = {"w": rng.normal(size=(D, 4, 8)), "skip": rng.normal(size=D)}
    draw_glu(p, rng)
    return sgconv_layer(p, summed(p["w"], 0.5), u)


def sgconv_learned_decay(rng, u):
    """As sgconv, with (1 + t)^-a in the place of the powers of 1/2."""
    p: Arrays = {"w": rng.normal(size=(D, 4, 8)), "skip": rng.normal(size=D)}
    p["exponent"] = rng.uniform(0.5, 1.5, D)
    draw_glu(p, rng)
    raw = concatenated(p["w"], 0, 1.0)
    return sgconv_layer(p, raw * power_law(p["exponent"][:, None], raw.shape[1]), u)


def sgconv_of(size: int, scales: int, s0: int = 0, m=2.0, exponent: float = 0.0) -> Callable:
    """In both directions; alpha = 1/m, m evenly spaced over the features where it is a pair."""

    def formula(rng, u):
        p: Arrays = {"w": rng.normal(size=(2 * D, scales, size)), "skip": rng.normal(size=D)}
        draw_glu(p, rng)
        alpha = np.tile(1 / np.linspace(*m, D), 2)[:, None] if isinstance(m, tuple) else 1 / m
        raw = concatenated(p["w"], s0, alpha)
        return sgconv_layer(p, raw * power_law(exponent, raw.shape[1]), u, both_ways)

    return formula


def draw_glu(p: Arrays, rng, fan_in: int = D) -> None:
    draw_affine(p, rng, "output", fan_in, D)
    draw_affine(p, rng, "gate", fan_in, D)


def sgconv_layer(p: Arrays, raw, u, conv=convolve):
    k = (raw / np.sqrt((raw**2).sum(1, keepdims=True)))[:, : u.shape[1]]
    return p, k, glu(p, gelu(conv(k, u) + p["skip"] * u))


def long_conv_of(threshold: float, *, two_sided: bool = False, std: float = 0.002) -> Callable:
    """k = squash(taps), two filters a feature; no dropout, as when it answers."""

    def formula(rng, u):
        p: Arrays = {"skip": rng.normal(size=2 * D)}
        p["taps"] = std * rng.normal(size=((4 if two_sided else 2) * D, u.shape[1]))
        draw_glu(p, rng, 2 * D)
        k, x = squash(p["taps"], threshold), np.concatenate([u, u], -1)
        y = (both_ways if two_sided else convolve)(k, x)
        return p, k, glu(p, gelu(y + p["skip"] * x))

    return formula


def long_conv_butterfly(rng, u):
    """k = squash(first L of Re F^-1 G w): 128 = 16 x 8, index 8 a + b to frequency c + 16 e."""
    p: Arrays = {"taps": 0.002 * rng.normal(size=(2 * D, L)), "skip": rng.normal(size=2 * D)}
    for n in (8, 16):
        exact = np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
        noise = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        p[f"factor{n}"] = exact + 0.1 * noise
    draw_glu(p, rng, 2 * D)
    g = np.zeros((128, 128), complex)
    for a in range(16):
        for b in range(8):
            for c in range(16):
                for e in range(8):
                    turn = np.exp(-2j * np.pi * b * c / 128)
                    g[c + 16 * e, 8 * a + b] = p["factor8"][e, b] * turn * p["factor16"][c, a]
    back = np.exp(2j * np.pi * np.outer(np.arange(128), np.arange(128)) / 128) / 128
    k = squash((p["taps"] @ (back @ g).real[:L, :L].T), 0.001)
    x = np.concatenate([u, u], -1)
    return p, k, glu(p, gelu(convolve(k, x) + p["skip"] * x))


def fir(rng, u):
    """y = W (x0 (T_h + b) (x1 v)) + c, h of 64 taps."""
    p: Arrays = {"taps": rng.normal(size=(D, 64)) / 8, "skip": rng.normal(size=D)}
    draw_shorts(p, rng)
    draw_affine(p, rng, "output", D, D)
    v, x1, x0 = (short(p, name, u) for name in ("value", "pre", "post"))
    y = x0 * (convolve(p["taps"], x1 * v) + p["skip"] * x1 * v)
    return p, p["taps"], affine(p, "output", y)


def base_conv_explicit(rng, u):
    """(W u + b1) * (h * u + u + b2) + u, h free over its initial norm."""
    p: Arrays = {"taps": rng.normal(size=(D, L)), "bias": rng.normal(size=D)}
    draw_affine(p, rng, "output", D, D)
    k = p["taps"] / np.sqrt((p["taps"] ** 2).sum(1, keepdims=True))
    return p, k, affine(p, "output", u) * (convolve(k, u) + u + p["bias"]) + u


MIXERS: dict[str, Callable] = {
    "s4d": s4d,
    "ema": ema,
    "sgconv": sgconv,
    "long-conv": long_conv,
    "hyena": hyena,
    "base-conv-short": base_conv_short,
    "base-conv-long": base_conv_long,
    "attention": attention,
    "all-on": all_on,
}
NUMBERED = tuple(MIXERS)  # these draw by their place, later ones by their name
MIXERS |= {
    "sgconv-two-sided": sgconv_of(size=8, scales=4),
    "sgconv-summed": sgconv_summed,
    "sgconv-learned-decay": sgconv_learned_decay,
    "sgconv-listops": sgconv_of(size=1, scales=7),
    "sgconv-text": sgconv_of(size=2, scales=6),
    "sgconv-retrieval": sgconv_of(size=1, scales=7),
    "sgconv-image": sgconv_of(size=32, scales=3, m=1.0, exponent=1.0),
    "sgconv-pathfinder": sgconv_of(size=32, scales=3),
    "sgconv-path-x": sgconv_of(size=64, scales=3, s0=1, m=(1, 3)),
    "long-conv-geometric": long_conv_of(0.001, std=0.02),
    "long-conv-butterfly": long_conv_butterfly,
    "long-conv-listops": long_conv_of(0.002),
    "long-conv-text": long_conv_of(0.003),
    "long-conv-retrieval": long_conv_of(0.004),
    "long-conv-image": long_conv_of(0.003),
    "long-conv-pathfinder": long_conv_of(0.001, two_sided=True),
    "long-conv-path-x": long_conv_of(0.001, two_sided=True),
    "long-conv-scifar": long_conv_of(0.001),
    "fir": fir,
    "base-conv-explicit": base_conv_explicit,
}
# Long enough for several scales, and for taps beyond the last one of a cut kernel.
LENGTHS = {"sgconv-image": 101, "sgconv-pathfinder": 101, "sgconv-path-x": 300, "fir": 70}


def main(folder: Path) -> None:
    sums = []
    for i, (name, formula) in enumerate(MIXERS.items()):
        place = [i] if name in NUMBERED else list(name.encode())
        rng = np.random.default_rng([20260, *place])
        u = rng.normal(size=(B, LENGTHS.get(name, L), D))
        parameters, k, y = formula(rng, u)
        file = folder / f"{name}.npz"
        np.savez(file, u=u, k=k, y=y, **{f"p.{n}": v for n, v in parameters.items()})
        sums.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
