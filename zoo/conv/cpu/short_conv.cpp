// The short causal depthwise convolution and its gradients:
//
//   z_t = bias + sum_j w_j u_{t-(S-1)+j},   y = z or silu(z),   u zero before the first step
//
// Lanes are adjacent channels. A tile is some steps of some vectors of channels, gathered from memory
// of any strides and type, with the steps before (and, for gradients, after) that its taps reach.
#include "short_conv.h"

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "simd.h"

namespace {

using namespace zoo;

constexpr int64_t steps = 64;                  // of a tile
constexpr int64_t wide = 64 / vector_bytes;    // vectors of a tile: a cache line of each step
constexpr int64_t max_slices = 32;             // of the sums over batch and time; not the threads
constexpr int64_t worth_threads = 1 << 15;     // elements

struct Shape {
  int64_t batch, length, channels, taps;
  bool silu;
  int64_t elements() const { return batch * length * channels; }
  int64_t tiles() const { return (length + steps - 1) / steps; }
  int64_t items() const { return batch * tiles(); }  // one is all channels of some steps of a row
  template <class Real>
  int64_t blocks() const {
    return (channels + lanes<Real> - 1) / lanes<Real>;
  }
};

template <class Stored>
struct Signal {
  Stored* data;
  int64_t batch, time, channel;  // strides, in elements
  Stored* at(int64_t b, int64_t t, int64_t d) const {
    return data + b * batch + t * time + d * channel;
  }
};

template <class Stored>
using real = typename computed<Stored>::type;

// Vectors of channels, side by side in memory as in a tile: column c is (rows,).
template <class Real>
struct Columns {
  int64_t rows;
  std::vector<vec<Real>> data;
  explicit Columns(int64_t rows) : rows(rows), data(static_cast<size_t>(wide * rows)) {}
  vec<Real>* operator[](int64_t c) { return data.data() + c * rows; }
};

// One vector of channels whose steps are adjacent in memory: squares are transposed in registers.
template <class Stored>
void gather_along_time(vec<real<Stored>>* to, const Stored* from, int64_t channel, int64_t count) {
  constexpr int all = lanes<real<Stored>>;
  for (int64_t i = 0; i < count; i += all) {
    const int some = static_cast<int>(std::min<int64_t>(all, count - i));
    vec<real<Stored>> square[all];
    for (int lane = 0; lane < all; ++lane) {
      const Stored* at = from + lane * channel + i;
      square[lane] = some == all ? load(at) : load_some(at, some);
    }
    transpose(square);
    std::copy(square, square + some, to + i);
  }
}

template <class Stored>
void scatter_along_time(const vec<real<Stored>>* from, Stored* to, int64_t channel, int64_t count) {
  constexpr int all = lanes<real<Stored>>;
  for (int64_t i = 0; i < count; i += all) {
    const int some = static_cast<int>(std::min<int64_t>(all, count - i));
    vec<real<Stored>> square[all] = {};
    std::copy(from + i, from + i + some, square);
    transpose(square);
    for (int lane = 0; lane < all; ++lane) {
      Stored* at = to + lane * channel + i;
      some == all ? store(at, square[lane]) : store_some(at, square[lane], some);
    }
  }
}

// Steps [first, first + count) of some blocks of channels, zero outside of [0, length).
template <class Stored>
void gather(Columns<real<Stored>>& to, Signal<const Stored> x, const Shape& shape, int64_t b,
            int64_t first, int64_t count, int64_t block) {
  using Real = real<Stored>;
  constexpr int all = lanes<Real>;
  const int64_t begin = std::min(count, std::max<int64_t>(0, -first));
  const int64_t end = std::max(begin, std::min(count, shape.length - first));
  const int64_t width = std::min(wide * all, shape.channels - block * all);
  const Stored* from = x.at(b, first + begin, block * all);
  for (int64_t c = 0; c < wide; ++c) {
    std::fill(to[c], to[c] + begin, vec<Real>{});
    std::fill(to[c] + end, to[c] + count, vec<Real>{});
  }
  if (x.channel == 1 && width == wide * all) {
    for (int64_t i = begin; i < end; ++i, from += x.time)
      for (int64_t c = 0; c < wide; ++c) to[c][i] = load(from + c * all);
  } else if (x.time == 1 && width == wide * all) {
    for (int64_t c = 0; c < wide; ++c)
      gather_along_time(to[c] + begin, from + c * all * x.channel, x.channel, end - begin);
  } else {
    for (int64_t i = begin; i < end; ++i, from += x.time) {
      Stored row[wide * all] = {};
      for (int64_t lane = 0; lane < width; ++lane) row[lane] = from[lane * x.channel];
      for (int64_t c = 0; c < wide; ++c) to[c][i] = load(row + c * all);
    }
  }
}

template <class Stored>
void scatter(Columns<real<Stored>>& from, Signal<Stored> y, const Shape& shape, int64_t b,
             int64_t first, int64_t count, int64_t block) {
  constexpr int all = lanes<real<Stored>>;
  const int64_t width = std::min(wide * all, shape.channels - block * all);
  Stored* to = y.at(b, first, block * all);
  if (y.channel == 1 && width == wide * all) {
    for (int64_t i = 0; i < count; ++i, to += y.time)
      for (int64_t c = 0; c < wide; ++c) store(to + c * all, from[c][i]);
  } else if (y.time == 1 && width == wide * all) {
    for (int64_t c = 0; c < wide; ++c)
      scatter_along_time(from[c], to + c * all * y.channel, y.channel, count);
  } else {
    for (int64_t i = 0; i < count; ++i, to += y.time) {
      Stored row[wide * all];
      for (int64_t c = 0; c < wide; ++c) store(row + c * all, from[c][i]);
      for (int64_t lane = 0; lane < width; ++lane) to[lane * y.channel] = row[lane];
    }
  }
}

// ---- on tiles ----

// exp for x <= 0, to 1e-7: 2^n e^r, n the nearest integer to x / log 2; zero below -87.
ZOO_INLINE vec<float> exp_of_negative(vec<float> x) {
  using integers = vector_of<int32_t, lanes<float>>::type;
  const auto is_tiny = x < -87.0f;
  x = is_tiny ? broadcast(-87.0f) : x;
  const integers n = __builtin_convertvector(x * 1.44269504f - 0.5f, integers);  // x <= 0: nearest
  const vec<float> whole = __builtin_convertvector(n, vec<float>);
  const vec<float> r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  vec<float> p = r * 1.98756915e-4f + 1.39819995e-3f;
  p = p * r + 8.33345191e-3f;
  p = p * r + 4.16657960e-2f;
  p = p * r + 1.66666655e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  return is_tiny ? vec<float>{} : p * bit_cast<vec<float>>((n + 127) << 23);
}

ZOO_INLINE vec<double> exp_of_negative(vec<double> x) {
  for (int lane = 0; lane < lanes<double>; ++lane) x[lane] = __builtin_exp(x[lane]);
  return x;
}

// 1 / (1 + exp(-x)), by the side that cannot overflow.
template <class Vector>
ZOO_INLINE Vector sigmoid(Vector x) {
  const Vector e = exp_of_negative(x < 0 ? x : -x);
  return (x < 0 ? e : e - e + 1) / (1 + e);
}

template <class Real>
void apply_silu(vec<Real>* y, int64_t count) {
  for (int64_t t = 0; t < count; ++t) y[t] *= sigmoid(y[t]);
}

// g *= silu'(z)
template <class Real>
void through_silu(vec<Real>* g, const vec<Real>* z, int64_t count) {
  for (int64_t t = 0; t < count; ++t) {
    const vec<Real> s = sigmoid(z[t]);
    g[t] *= s * (1 + z[t] * (1 - s));
  }
}

// `fixed` taps, or as many as are said if it is 0: a known number is kept in registers.
template <class Real, int fixed>
struct Taps {
  // z_t = bias + sum_j w_j x_{t+j}
  static void forward(vec<Real>* __restrict z, const vec<Real>* __restrict x,
                      const vec<Real>* __restrict w, vec<Real> bias, int64_t count, int64_t taps) {
    if (fixed) taps = fixed;
    for (int64_t t = 0; t < count; ++t) {
      vec<Real> sum = bias;
      for (int64_t j = 0; j < taps; ++j) sum += w[j] * x[t + j];
      z[t] = sum;
    }
  }

  // du_t = sum_j w_j g_{t+(S-1)-j}
  static void transposed(vec<Real>* __restrict du, const vec<Real>* __restrict g,
                         const vec<Real>* __restrict w, int64_t count, int64_t taps) {
    if (fixed) taps = fixed;
    for (int64_t t = 0; t < count; ++t) {
      vec<Real> sum{};
      for (int64_t j = 0; j < taps; ++j) sum += w[j] * g[t + taps - 1 - j];
      du[t] = sum;
    }
  }

  // dw_j += sum_t g_t x_{t+j},   dw_S += sum_t g_t: the bias comes behind the taps
  static void gradient(vec<Real>* __restrict dw, const vec<Real>* __restrict g,
                       const vec<Real>* __restrict x, int64_t count, int64_t taps) {
    if constexpr (fixed > 0) {
      vec<Real> sums[fixed + 1] = {};
      for (int64_t t = 0; t < count; ++t) {
        for (int j = 0; j < fixed; ++j) sums[j] += g[t] * x[t + j];
        sums[fixed] += g[t];
      }
      for (int j = 0; j <= fixed; ++j) dw[j] += sums[j];
    } else {
      for (int64_t j = 0; j <= taps; ++j) {
        vec<Real> sum{};
        for (int64_t t = 0; t < count; ++t) sum += j < taps ? g[t] * x[t + j] : g[t];
        dw[j] += sum;
      }
    }
  }
};

// ---- on signals ----

// The taps (blocks, S) and the bias (blocks) of all channels, in vectors of channels.
template <class Real>
struct Weights {
  std::vector<vec<Real>> taps, bias;

  Weights(const Real* w, const Real* b, const Shape& shape)
      : taps(static_cast<size_t>(shape.blocks<Real>() * shape.taps)),
        bias(static_cast<size_t>(shape.blocks<Real>())) {
    for (int64_t d = 0; d < shape.channels; ++d) {
      const int64_t block = d / lanes<Real>, lane = d % lanes<Real>;
      for (int64_t j = 0; j < shape.taps; ++j)
        taps[block * shape.taps + j][lane] = w[d * shape.taps + j];
      if (b) bias[block][lane] = b[d];
    }
  }
};

// Steps [first, first + count) of row b.
struct Tile {
  int64_t b, first, count;
  Tile(int64_t item, const Shape& shape)
      : b(item / shape.tiles()),
        first(item % shape.tiles() * steps),
        count(std::min(steps, shape.length - first)) {}
};

template <class Stored, int fixed>
void forward(Signal<Stored> y, Signal<const Stored> u, const real<Stored>* w,
             const real<Stored>* bias, Shape shape, int threads) {
  using Real = real<Stored>;
  const Weights<Real> weights(w, bias, shape);
  const int64_t reach = shape.taps - 1;
#pragma omp parallel num_threads(threads) if (shape.elements() > worth_threads)
  {
    Columns<Real> x(steps + reach), z(steps);
#pragma omp for schedule(static)
    for (int64_t item = 0; item < shape.items(); ++item) {
      const Tile tile(item, shape);
      for (int64_t block = 0; block < shape.blocks<Real>(); block += wide) {
        gather(x, u, shape, tile.b, tile.first - reach, reach + tile.count, block);
        for (int64_t c = 0; c < wide && block + c < shape.blocks<Real>(); ++c) {
          Taps<Real, fixed>::forward(z[c], x[c], &weights.taps[(block + c) * shape.taps],
                                     weights.bias[block + c], tile.count, shape.taps);
          if (shape.silu) apply_silu<Real>(z[c], tile.count);
        }
        scatter(z, y, shape, tile.b, tile.first, tile.count, block);
      }
    }
  }
}

// One slice of the sums over batch and time: items [begin, end). `sums` is (blocks, S + 1).
template <class Stored, int fixed>
void backward_slice(Signal<Stored> du, vec<real<Stored>>* sums, Signal<const Stored> g,
                    Signal<const Stored> u, const Weights<real<Stored>>& weights,
                    const Shape& shape, int64_t begin, int64_t end) {
  using Real = real<Stored>;
  using Some = Taps<Real, fixed>;
  const int64_t taps = shape.taps, reach = taps - 1, ahead = shape.silu ? reach : 0;
  Columns<Real> x(steps + 2 * reach), h(steps + reach), z(steps + reach), out(steps);
  for (int64_t item = begin; item < end; ++item) {
    const Tile tile(item, shape);
    for (int64_t block = 0; block < shape.blocks<Real>(); block += wide) {
      gather(h, g, shape, tile.b, tile.first, tile.count + reach, block);
      gather(x, u, shape, tile.b, tile.first - reach, reach + tile.count + ahead, block);
      for (int64_t c = 0; c < wide && block + c < shape.blocks<Real>(); ++c) {
        const vec<Real>* w = &weights.taps[(block + c) * taps];
        if (shape.silu) {
          Some::forward(z[c], x[c], w, weights.bias[block + c], tile.count + reach, taps);
          through_silu<Real>(h[c], z[c], tile.count + reach);
        }
        Some::transposed(out[c], h[c], w, tile.count, taps);
        Some::gradient(sums + (block + c) * (taps + 1), h[c], x[c], tile.count, taps);
      }
      scatter(out, du, shape, tile.b, tile.first, tile.count, block);
    }
  }
}

template <class Stored, int fixed>
void backward(Signal<Stored> du, real<Stored>* dw, real<Stored>* dbias, Signal<const Stored> g,
              Signal<const Stored> u, const real<Stored>* w, const real<Stored>* bias, Shape shape,
              int threads) {
  using Real = real<Stored>;
  const Weights<Real> weights(w, bias, shape);
  const int64_t items = shape.items(), slices = std::min(max_slices, items);
  const int64_t columns = shape.taps + 1, size = shape.blocks<Real>() * columns;
  std::vector<vec<Real>> sums(static_cast<size_t>(slices * size));
#pragma omp parallel for schedule(static) num_threads(threads) if (shape.elements() > worth_threads)
  for (int64_t slice = 0; slice < slices; ++slice)
    backward_slice<Stored, fixed>(du, &sums[slice * size], g, u, weights, shape,
                                  slice * items / slices, (slice + 1) * items / slices);
  for (int64_t d = 0; d < shape.channels; ++d) {
    const int64_t block = d / lanes<Real>, lane = d % lanes<Real>;
    for (int64_t j = 0; j < columns; ++j) {
      double total = 0;
      for (int64_t slice = 0; slice < slices; ++slice)
        total += sums[slice * size + block * columns + j][lane];
      (j < shape.taps ? dw[d * shape.taps + j] : dbias[d]) = static_cast<Real>(total);
    }
  }
}

// ---- for any type ----

template <class Stored>
Signal<Stored> signal(Address address, const Strides& strides) {
  return {reinterpret_cast<Stored*>(address), strides[0], strides[1], strides[2]};
}

// Calls f(a value of the stored type, the number of taps as a constant).
template <class Stored, class Function>
void with_taps(int64_t taps, Function f) {
  if (taps == 3) return f(Stored{}, std::integral_constant<int, 3>{});
  if (taps == 4) return f(Stored{}, std::integral_constant<int, 4>{});
  return f(Stored{}, std::integral_constant<int, 0>{});
}

template <class Function>
void with_type(const std::string& dtype, int64_t taps, Function f) {
  if (dtype == "float32") return with_taps<float>(taps, f);
  if (dtype == "float64") return with_taps<double>(taps, f);
  if (dtype == "bfloat16") return with_taps<bfloat16>(taps, f);
  if (dtype == "float16") return with_taps<float16>(taps, f);
  throw std::invalid_argument("dtype " + dtype);
}

}  // namespace

void short_conv(const std::string& dtype, const Sizes& sizes, bool silu, Address y,
                const Strides& y_strides, Address u, const Strides& u_strides, Address w,
                Address bias, int threads) {
  const Shape shape{sizes[0], sizes[1], sizes[2], sizes[3], silu};
  with_type(dtype, shape.taps, [&](auto stored, auto fixed) {
    using Stored = decltype(stored);
    using Real = real<Stored>;
    forward<Stored, fixed>(signal<Stored>(y, y_strides), signal<const Stored>(u, u_strides),
                           reinterpret_cast<const Real*>(w), reinterpret_cast<const Real*>(bias),
                           shape, threads);
  });
}

void short_conv_backward(const std::string& dtype, const Sizes& sizes, bool silu, Address du,
                         const Strides& du_strides, Address dw, Address dbias, Address g,
                         const Strides& g_strides, Address u, const Strides& u_strides, Address w,
                         Address bias, int threads) {
  const Shape shape{sizes[0], sizes[1], sizes[2], sizes[3], silu};
  with_type(dtype, shape.taps, [&](auto stored, auto fixed) {
    using Stored = decltype(stored);
    using Real = real<Stored>;
    backward<Stored, fixed>(signal<Stored>(du, du_strides), reinterpret_cast<Real*>(dw),
                            reinterpret_cast<Real*>(dbias), signal<const Stored>(g, g_strides),
                            signal<const Stored>(u, u_strides), reinterpret_cast<const Real*>(w),
                            reinterpret_cast<const Real*>(bias), shape, threads);
  });
}
