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


def main(folder: Path) -> None:
    sums = []
    for i, (name, formula) in enumerate(MIXERS.items()):
        rng = np.random.default_rng([20260, i])
        u = rng.normal(size=(B, L, D))
        parameters, k, y = formula(rng, u)
        file = folder / f"{name}.npz"
        np.savez(file, u=u, k=k, y=y, **{f"p.{n}": v for n, v in parameters.items()})
        sums.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
