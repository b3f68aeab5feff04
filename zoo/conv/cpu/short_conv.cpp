// The short causal depthwise convolution and its gradients:
//
//   z_t = bias + sum_j w_j u_{t-(S-1)+j},   y = z or silu(z),   u zero before the first step
//
// Lanes are adjacent channels. A tile is some steps of some vectors of channels, gathered from memory
// of any strides and type, with the steps before (and, for gradients, after) that its taps reach.
#include "short_conv.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "short_conv_tiles.h"
#include "silu.h"

namespace {

using namespace zoo;
using namespace zoo::tiles;

constexpr int64_t max_slices = 32;             // of the sums over batch and time; not the threads
constexpr int64_t worth_threads = 1 << 15;     // elements
constexpr int64_t items_in_sum = 8;  // in float, which drifts if data are biased; then in double

// ---- on tiles ----

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

  // dw_j += sum_t g_t x_{t+j},   dw_S += sum_t g_t: the bias comes behind the taps.
  // Even and odd steps apart: two sums do not wait for each other, and drift half as far.
  static void gradient(vec<Real>* __restrict dw, const vec<Real>* __restrict g,
                       const vec<Real>* __restrict x, int64_t count, int64_t taps) {
    if constexpr (fixed > 0) {
      vec<Real> even[fixed + 1] = {}, odd[fixed + 1] = {};
      for (int64_t t = 0; t + 1 < count; t += 2) add(even, g, x, t), add(odd, g, x, t + 1);
      if (count % 2) add(even, g, x, count - 1);
      for (int j = 0; j <= fixed; ++j) dw[j] += even[j] + odd[j];
    } else {
      for (int64_t j = 0; j <= taps; ++j) {
        vec<Real> even{}, odd{};
        const auto term = [&](int64_t t) { return j < taps ? g[t] * x[t + j] : g[t]; };
        for (int64_t t = 0; t + 1 < count; t += 2) even += term(t), odd += term(t + 1);
        if (count % 2) even += term(count - 1);
        dw[j] += even + odd;
      }
    }
  }

  ZOO_INLINE static void add(vec<Real> (&sums)[fixed + 1], const vec<Real>* g, const vec<Real>* x,
                             int64_t t) {
    for (int j = 0; j < fixed; ++j) sums[j] += g[t] * x[t + j];
    sums[fixed] += g[t];
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

// A vector's lanes in double.
template <class Real>
using doubles = typename vector_of<double, lanes<Real>>::type;

// sums += recent, which is zero again.
template <class Real>
void add_up(doubles<Real>* sums, std::vector<vec<Real>>& recent) {
  for (vec<Real>& each : recent) {
    *sums++ += __builtin_convertvector(each, doubles<Real>);
    each = vec<Real>{};
  }
}

// One slice of the sums over batch and time: items [begin, end). `sums` is (blocks, S + 1).
template <class Stored, int fixed>
void backward_slice(Signal<Stored> du, doubles<real<Stored>>* sums, Signal<const Stored> g,
                    Signal<const Stored> u, const Weights<real<Stored>>& weights,
                    const Shape& shape, int64_t begin, int64_t end) {
  using Real = real<Stored>;
  using Some = Taps<Real, fixed>;
  const int64_t taps = shape.taps, reach = taps - 1, ahead = shape.silu ? reach : 0;
  Columns<Real> x(steps + 2 * reach), h(steps + reach), z(steps + reach), out(steps);
  std::vector<vec<Real>> recent(static_cast<size_t>(shape.blocks<Real>() * (taps + 1)));
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
        Some::gradient(&recent[(block + c) * (taps + 1)], h[c], x[c], tile.count, taps);
      }
      scatter(out, du, shape, tile.b, tile.first, tile.count, block);
    }
    if ((item + 1 - begin) % items_in_sum == 0 || item + 1 == end) add_up<Real>(sums, recent);
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
  std::vector<doubles<Real>> sums(static_cast<size_t>(slices * size));
#pragma omp parallel for schedule(static) num_threads(threads) if (shape.elements() > worth_threads)
  for (int64_t slice = 0; slice < slices; ++slice)
    backward_slice<Stored, fixed>(du, &sums[slice * size], g, u, weights, shape,
                                  slice * items / slices, (slice + 1) * items / slices);
  for (size_t i = static_cast<size_t>(size); i < sums.size(); ++i) sums[i % size] += sums[i];
  for (int64_t d = 0; d < shape.channels; ++d) {
    const int64_t block = d / lanes<Real>, lane = d % lanes<Real>;
    for (int64_t j = 0; j < columns; ++j) {
      const double total = slices > 0 ? sums[block * columns + j][lane] : 0;
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
