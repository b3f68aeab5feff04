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


def implicit(p: Arrays, rng, *, features: int, width: int, std: float, frequency: float, **out):
    """A sine network of [t, cos, -sin], two inner layers, times the exponential window.

    For `channels` graded kernels (D), in `copies` stacks (1).
    """
    channels, copies = out.get("channels", D), out.get("copies", 1)
    sizes = [features, width, width, width]
    for i in range(3):
        p[f"hidden{i}.weight"] = std * rng.normal(size=(sizes[i + 1], sizes[i]))
        p[f"hidden{i}.bias"] = std * rng.normal(size=sizes[i + 1])
    p["out.weight"] = std * rng.normal(size=(copies * channels, width))
    p["frequency"] = frequency * (1 + 0.1 * rng.normal(size=width))
    bands = (features - 1) // 2
    f = np.linspace(1e-4, bands - 1, bands)
    t = np.arange(L) / (L - 1)
    phase = 2 * np.pi * np.arange(L)[:, None] / L * f
    x = np.concatenate([t[:, None], np.cos(phase), -np.sin(phase)], 1)
    for i in range(3):
        x = np.sin(p["frequency"] * affine(p, f"hidden{i}", x))
    delta = np.tile(np.linspace(np.log(0.01) / 1.5, np.log(0.01) / 0.3, channels), copies)
    return (x @ p["out.weight"].T * np.exp(-np.abs(delta) * t[:, None])).T


def short(p: Arrays, name: str, u):
    """x_t = c + sum_s w_s z_{t-s}: a projection, then three taps of each feature's own."""
    return convolve(p[f"{name}.taps"], affine(p, name, u)) + p[f"{name}.short_bias"]


def draw_shorts(p: Arrays, rng, names=("value", "pre", "post")) -> None:
    for name in names:
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


def respond(run):
    """The kernel (D, L) of what maps (B, L, D) to (B, L, D): its answer to an impulse."""
    impulse = np.zeros((1, L, D))
    impulse[:, 0] = 1
    return run(impulse)[0].T


def draw_layer(p: Arrays, rng) -> None:
    p["dt"] = np.exp(rng.uniform(np.log(0.01), 0, D))
    p["skip"] = rng.normal(size=D)
    draw_affine(p, rng, "output", D, D)


def normal_part(a, p):
    """Imaginary parts of the eigenvalues of A + P P^T, one of each pair, and the vectors."""
    m = a + p @ p.T
    omega, v = np.linalg.eigh(-0.5j * (m - m.T))
    return omega[len(a) // 2 :], v[:, len(a) // 2 :]


def low_rank(rng, u, omega, b, correction, rate: float):
    """x_t = Abar x_{t-1} + Bbar u_t, y_t = C x_t, as dense complex matrices of all poles; GLU.

    A = diag(-rate + i omega) - P P^H; each pole and its conjugate; the bilinear rule.
    """
    p: Arrays = {}
    draw_layer(p, rng)
    draw_affine(p, rng, "gate", D, D)
    n = len(omega)
    p["omega"] = omega + 0.1 * rng.normal(size=(D, n))
    p["rate"] = rate * np.exp(0.3 * rng.normal(size=(D, n)))
    for name, start in (("b", b), ("correction", correction)):
        p[name] = start + 0.1 * (rng.normal(size=(D, n)) + 1j * rng.normal(size=(D, n)))
    p["c"] = rng.normal(size=(D, n)) + 1j * rng.normal(size=(D, n))

    def both(x):
        return np.concatenate([x, x.conj()])

    steps = []
    for d in range(D):
        low = both(p["correction"][d])
        a = np.diag(both(-p["rate"][d] + 1j * p["omega"][d])) - np.outer(low, low.conj())
        implicit = np.linalg.inv(np.eye(2 * n) - p["dt"][d] / 2 * a)
        steps.append((implicit @ (np.eye(2 * n) + p["dt"][d] / 2 * a), p["dt"][d] * implicit))

    def run(signal):
        out = np.zeros_like(signal)
        for d, (abar, held) in enumerate(steps):
            for i in range(len(signal)):
                x = np.zeros(2 * n, complex)
                for t in range(signal.shape[1]):
                    x = abar @ x + held @ both(p["b"][d]) * signal[i, t, d]
                    out[i, t, d] = (both(p["c"][d]) @ x).real
        return out

    return p, respond(run), glu(p, gelu(run(u) + p["skip"] * u))


def legs_frequencies(size: int):
    """Of A_nk = -sqrt(2n+1) sqrt(2k+1) below, -(n+1) on the diagonal, plus P P^T."""
    n = np.arange(size)
    root = np.sqrt(2 * n + 1)
    a = -np.tril(np.outer(root, root), -1) - np.diag(n + 1)
    omega, v = normal_part(a, np.sqrt(n + 0.5)[:, None])
    return omega, np.abs(v.conj().T @ root)


def s4(rng, u):
    """HiPPO-LegS: B real by the choice of phases, P = B / sqrt 2, rate 1/2."""
    omega, b = legs_frequencies(64)
    return low_rank(rng, u, omega, b, b / math.sqrt(2), 0.5)


def s4_fout(rng, u):
    """FouT: omega = pi f, B = P = 1 (1/sqrt 2 at f = 0), hardly a rate."""
    b = np.ones(32)
    b[0] = math.sqrt(0.5)
    return low_rank(rng, u, np.pi * np.arange(32), b, b, 1e-4)


def diagonal(p: Arrays, gain, pairs: int):
    """x_t = e^(dt l) x_{t-1} + u_t, y_t = [2] Re(gain c x_t)."""
    abar = np.exp(p["dt"][:, None] * (p.get("omega", 0) * 1j - p["rate"]))

    def run(signal):
        x, out = np.zeros((len(signal), *abar.shape), complex), []
        for t in range(signal.shape[1]):
            x = abar * x + signal[:, t, :, None]
            out.append(pairs * (gain * p["c"] * x).real.sum(-1))
        return np.stack(out, 1)

    return run


def s4d_inv(rng, u):
    """omega_n = (64/pi)(64/(2n+1) - 1), zero-order hold, pairs; GELU, GLU."""
    p: Arrays = {}
    draw_layer(p, rng)
    draw_affine(p, rng, "gate", D, D)
    inverse = 64 / np.pi * (64 / (2 * np.arange(32) + 1) - 1)
    p["omega"] = inverse + 0.1 * rng.normal(size=(D, 32))
    p["rate"] = 0.5 * np.exp(0.3 * rng.normal(size=(D, 32)))
    p["c"] = rng.normal(size=(D, 32)) + 1j * rng.normal(size=(D, 32))
    pole = 1j * p["omega"] - p["rate"]
    run = diagonal(p, (np.exp(p["dt"][:, None] * pole) - 1) / pole, 2)
    return p, respond(run), glu(p, gelu(run(u) + p["skip"] * u))


def s4d_real(rng, u):
    """Rates n + 1, real c, zero-order hold; GELU, GLU."""
    p: Arrays = {}
    draw_layer(p, rng)
    draw_affine(p, rng, "gate", D, D)
    p["rate"] = (np.arange(64) + 1) * np.exp(0.1 * rng.normal(size=(D, 64)))
    p["c"] = rng.normal(size=(D, 64))
    run = diagonal(p, (1 - np.exp(-p["dt"][:, None] * p["rate"])) / p["rate"], 1)
    return p, respond(run), glu(p, gelu(run(u) + p["skip"] * u))


def dss(rng, u):
    """k_l = Re sum_n (c_n / l_n) softmax_l(dt l_n l) over all L taps; GELU, a projection."""
    p: Arrays = {}
    draw_layer(p, rng)
    omega, _ = legs_frequencies(128)
    p["omega"] = omega + 0.1 * rng.normal(size=(D, 64))
    p["rate"] = 0.5 * np.exp(0.3 * rng.normal(size=(D, 64)))
    p["c"] = rng.normal(size=(D, 64)) + 1j * rng.normal(size=(D, 64))
    pole = 1j * p["omega"] - p["rate"]
    powers = np.exp(p["dt"][:, None, None] * pole[..., None] * np.arange(L))
    # 1/(l (e^(dt l L) - 1)) is never less than 1e-7 away from 1/0: conj(x)/(|x|^2 + 1e-7)
    ends = pole * (np.exp(p["dt"][:, None] * pole * L) - 1)
    bounded = ends.conj() / (np.abs(ends) ** 2 + 1e-7)
    soft = powers / powers.sum(-1, keepdims=True) * (ends * bounded)[..., None]
    k = ((p["c"] / pole)[..., None] * soft).sum(1).real
    return p, k, affine(p, "output", gelu(convolve(k, u) + p["skip"] * u))


def outer(kernel, skip, k, v, q):
    """y_b = sum_a q_a ((T_K + skip I) (k_a v_b)) in every head, whose features lie together."""
    e = v.shape[2] // len(kernel)
    y = np.zeros_like(v)
    for h in range(len(kernel)):
        middle = toeplitz(kernel[h]) + skip[h] * np.eye(L)
        for b in range(h * e, (h + 1) * e):
            for a in range(h * e, (h + 1) * e):
                y[..., b] += q[..., a] * ((k[..., a] * v[..., b]) @ middle.T)
    return y


def h3(rng, u):
    """Keys through x_t = shift(x_{t-1}) + B k_t, C x_t; key times value through a recurrence."""
    heads, n = D // 2, 64
    p: Arrays = {"dt": np.exp(rng.uniform(np.log(0.01), 0, heads))}
    p["skip"], p["key_skip"] = rng.normal(size=heads), rng.normal(size=D)
    p["omega"] = np.tile(np.pi * np.arange(32), (heads, 1)) + 0.1 * rng.normal(size=(heads, 32))
    p["rate"] = np.exp(rng.normal(size=(heads, 32)) * 0.3) / 2
    p["c"] = rng.normal(size=(heads, 32)) + 1j * rng.normal(size=(heads, 32))
    p["key_impulse"] = np.eye(1, n) + 0.1 * rng.normal(size=(D, n))
    p["key_taps"] = rng.normal(size=(D, n)) / math.sqrt(n)
    for name in ("value", "pre", "post", "output"):
        draw_affine(p, rng, name, D, D)
    v, k, q = (affine(p, name, u) for name in ("value", "pre", "post"))
    state, shifted = np.zeros((B, D, n)), np.zeros_like(k)
    for t in range(L):
        state = np.concatenate([np.zeros((B, D, 1)), state[..., :-1]], -1)
        state = state + p["key_impulse"] * k[:, t, :, None]
        shifted[:, t] = (p["key_taps"] * state).sum(-1)
    pole = -p["rate"] + 1j * p["omega"]
    abar = np.exp(p["dt"][:, None] * pole)
    bbar, x, kernel = (abar - 1) / pole, np.zeros((heads, 32), complex), []
    for t in range(L):
        x = abar * x + bbar * (t == 0)
        kernel.append(2 * (p["c"] * x).real.sum(-1))
    kernel = np.stack(kernel, 1)
    y = outer(kernel, p["skip"], shifted + p["key_skip"] * k, v, q)
    return p, kernel, affine(p, "output", y)


def h3_conv(rng, u):
    """y = W (q (h2 * z + D z)) + b,  z = (h1 * k + D_k k) v,  both kernels squash(taps, .001)."""
    p: Arrays = {name: 0.002 * rng.normal(size=(D, L)) for name in ("taps", "key_taps")}
    p["skip"], p["key_skip"] = rng.normal(size=D), rng.normal(size=D)
    for name in ("value", "pre", "post", "output"):
        draw_affine(p, rng, name, D, D)
    v, k, q = (affine(p, name, u) for name in ("value", "pre", "post"))
    kernel, keys = (squash(p[name], 0.001) for name in ("taps", "key_taps"))
    z = (convolve(keys, k) + p["key_skip"] * k) * v
    return p, kernel, affine(p, "output", q * (convolve(kernel, z) + p["skip"] * z))


def hyena_3(rng, u):
    """y = W D_x0 (T_2 + b_2 I) D_x1 (T_1 + b_1 I) D_x2 v + c, with the matrices written out."""
    names = ("value", "pre", "post", "between0")
    p: Arrays = {"skip": rng.normal(size=2 * D)}
    draw_shorts(p, rng, names)
    draw_affine(p, rng, "output", D, D)
    k = implicit(p, rng, features=33, width=64, std=0.1, frequency=14, copies=2)
    v, x2, x0, x1 = (short(p, name, u) for name in names)
    y = np.zeros_like(u)
    for d in range(D):
        first, second = (toeplitz(k[i]) + p["skip"][i] * np.eye(L) for i in (d, D + d))
        for b in range(B):
            y[b, :, d] = (
                np.diag(x0[b, :, d])
                @ second
                @ np.diag(x1[b, :, d])
                @ first
                @ np.diag(x2[b, :, d])
                @ v[b, :, d]
            )
    return p, k, affine(p, "output", y)


def multi_hyena(rng, u):
    """Two heads of two features: the outer product of x_1 and v, one filter a head, read by x_0."""
    p: Arrays = {"skip": rng.normal(size=D // 2)}
    draw_shorts(p, rng)
    draw_affine(p, rng, "output", D, D)
    k = implicit(p, rng, features=33, width=64, std=0.1, frequency=14, channels=D // 2)
    v, x1, x0 = (short(p, name, u) for name in ("value", "pre", "post"))
    return p, k, affine(p, "output", outer(k, p["skip"], x1, v, x0))


def siren(p: Arrays, rng):
    """sin(30 (W_1 sin(30 (W_0 pos + b_0)) + b_1)), pos from -1 to 1, then W_out."""
    x = np.linspace(-1, 1, L)[:, None]
    for i, fan_in in enumerate((1, 32)):
        bound = 1.0 if i == 0 else math.sqrt(6 / 32) / 30
        p[f"hidden{i}.weight"] = rng.uniform(-bound, bound, size=(32, fan_in))
        p[f"hidden{i}.bias"] = rng.uniform(-1, 1, size=32)
        x = np.sin(30 * affine(p, f"hidden{i}", x))
    p["out.weight"] = rng.normal(size=(D, 32)) / 6
    return (x @ p["out.weight"].T).T


def ckconv(rng, u):
    """W gelu(k * u) + b, k a sine network over its own norm."""
    p: Arrays = {}
    draw_affine(p, rng, "output", D, D)
    k = siren(p, rng)
    k = k / np.sqrt((k**2).sum(1, keepdims=True))
    return p, k, affine(p, "output", gelu(convolve(k, u)))


def flexconv(rng, u):
    """The same under a mask exp(-(x/width)^2 / 2), x the fraction of the longest lag."""
    p: Arrays = {"width": 0.25 * np.exp(rng.normal(size=D))}
    draw_affine(p, rng, "output", D, D)
    x = np.arange(L) / (L - 1)
    k = siren(p, rng) * np.exp(-((x / p["width"][:, None]) ** 2) / 2)
    k = k / np.sqrt((k**2).sum(1, keepdims=True))
    return p, k, affine(p, "output", gelu(convolve(k, u)))


def rwkv(rng, u):
    """W (sigmoid(r) wkv), both sums of wkv term by term; r, k, v of mu u_t + (1 - mu) u_{t-1}."""
    p: Arrays = {"rate": np.exp(rng.uniform(-4, 2, D)), "bonus": rng.normal(size=D)}
    before, x = np.concatenate([np.zeros((B, 1, D)), u[:, :-1]], 1), {}
    for name in ("value", "key", "receptance"):
        p[f"{name}.mix"] = rng.uniform(0, 1.3, D)
        p[f"{name}.weight"] = 2 * rng.normal(size=(D, D)) / math.sqrt(D)
        mix = p[f"{name}.mix"]
        x[name] = (mix * u + (1 - mix) * before) @ p[f"{name}.weight"].T
    p["output.weight"] = rng.normal(size=(D, D)) / math.sqrt(D)
    y = np.zeros_like(u)
    for t in range(L):
        now = np.exp(p["bonus"] + x["key"][:, t])
        upper, lower = now * x["value"][:, t], now
        for i in range(t):
            weight = np.exp(x["key"][:, i] - (t - 1 - i) * p["rate"])
            upper, lower = upper + weight * x["value"][:, i], lower + weight
        y[:, t] = upper / lower
    return p, np.zeros((0, 0)), (sigmoid(x["receptance"]) * y) @ p["output.weight"].T


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
# Numbers of these follow from their names, so that another one more moves none.
NAMED: dict[str, Callable] = {
    "s4": s4,
    "s4-fout": s4_fout,
    "s4d-inv": s4d_inv,
    "s4d-real": s4d_real,
    "dss": dss,
    "h3": h3,
    "h3-conv": h3_conv,
    "hyena-3": hyena_3,
    "multi-hyena": multi_hyena,
    "ckconv": ckconv,
    "flexconv": flexconv,
    "rwkv": rwkv,
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
    streams = [[20260, i] for i in range(len(MIXERS))]
    streams += [[20260, *name.encode()] for name in NAMED]
    for stream, (name, formula) in zip(streams, (MIXERS | NAMED).items(), strict=True):
        rng = np.random.default_rng(stream)
        u = rng.normal(size=(B, LENGTHS.get(name, L), D))
        parameters, k, y = formula(rng, u)
        file = folder / f"{name}.npz"
        np.savez(file, u=u, k=k, y=y, **{f"p.{n}": v for n, v in parameters.items()})
        sums.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
