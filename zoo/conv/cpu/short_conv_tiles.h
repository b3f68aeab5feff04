// Tiles of a signal: some steps of some vectors of channels, gathered from memory of any strides and
// type, and scattered back. Lanes are adjacent channels.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "simd.h"

namespace zoo::tiles {

constexpr int64_t steps = 64;                  // of a tile
constexpr int64_t wide = 64 / vector_bytes;    // vectors of a tile: a cache line of each step

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

}  // namespace zoo::tiles
