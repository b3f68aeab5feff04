// Rows of a signal between memory (any type, any strides) and a real buffer.
//
// A strip is up to W rows, a `lane` stride apart. Buffers are laid out by how their lanes are used:
//
//   apart   W rows:   buffer[t * W + lane]
//   across  one row:  buffer[t]
//
//   gather   buffer <- strip, or gate * strip; what is not there is zero
//   scatter  strip <- buffer, or gate * buffer
#pragma once

#include "fft_passes.h"

namespace zoo {

template <class Stored>
struct Strip {
  Stored* data;
  int64_t lane, time;  // strides, in elements
  int rows;
  explicit operator bool() const { return data != nullptr; }
};

constexpr int64_t line_bytes = 64;
constexpr int64_t most_prefetched = 512;  // lines: what the second-level cache has room for

// Ask for a strip of `length` steps ahead of its use; long rows are left to the hardware.
template <bool for_writing, class Stored>
void prefetch(Strip<Stored> s, int64_t length) {
  if (!s) return;
  const bool in_rows = s.time == 1;
  const int64_t in_line = line_bytes / static_cast<int64_t>(sizeof(Stored));
  const int64_t step = in_rows ? in_line : 1, rows = in_rows ? s.rows : 1;
  if (rows * (length / step) > most_prefetched) return;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t t = 0; t < length; t += step) {
      __builtin_prefetch(s.data + row * s.lane + t * s.time, for_writing, 2);
    }
  }
}

template <class Stored>
using real = typename computed<Stored>::type;

template <class Stored>
ZOO_INLINE vec<real<Stored>> load_up_to(const Stored* from, int64_t count) {
  constexpr int width = lanes<real<Stored>>;
  return count >= width ? load(from) : load_some(from, static_cast<int>(count));
}

template <class Stored>
ZOO_INLINE void store_up_to(Stored* to, vec<real<Stored>> x, int64_t count) {
  constexpr int width = lanes<real<Stored>>;
  count >= width ? store(to, x) : store_some(to, x, static_cast<int>(count));
}

// `count` elements that are `stride` apart.
template <class Stored>
ZOO_INLINE vec<real<Stored>> load_strided(const Stored* from, int64_t stride, int64_t count) {
  constexpr int width = lanes<real<Stored>>;
  if (stride == 1) return load_up_to(from, count);
  Stored whole[width] = {};
  for (int64_t i = 0; i < std::min<int64_t>(count, width); ++i) whole[i] = from[i * stride];
  return load(whole);
}

template <class Stored>
ZOO_INLINE void store_strided(Stored* to, int64_t stride, vec<real<Stored>> x, int64_t count) {
  constexpr int width = lanes<real<Stored>>;
  if (stride == 1) return store_up_to(to, x, count);
  Stored whole[width];
  store(whole, x);
  for (int64_t i = 0; i < std::min<int64_t>(count, width); ++i) to[i * stride] = whole[i];
}

// One vector of a strip, at `offset`: of neighbours in time or in lanes, times the gate's.
template <class Stored>
ZOO_INLINE vec<real<Stored>> load_gated(Strip<const Stored> x, Strip<const Stored> gate,
                                        int64_t row, int64_t step, bool along_time,
                                        int64_t count) {
  const auto of = [&](Strip<const Stored> s) {
    return load_strided(s.data + row * s.lane + step * s.time, along_time ? s.time : s.lane, count);
  };
  return gate ? of(x) * of(gate) : of(x);
}

template <class Stored>
ZOO_INLINE void store_gated(vec<real<Stored>> x, Strip<Stored> y, Strip<const Stored> gate,
                            int64_t row, int64_t step, bool along_time, int64_t count) {
  if (gate) {
    x *= load_strided(gate.data + row * gate.lane + step * gate.time,
                      along_time ? gate.time : gate.lane, count);
  }
  store_strided(y.data + row * y.lane + step * y.time, along_time ? y.time : y.lane, x, count);
}

// ---- rows apart ----

// W steps from t on of W rows, whole and with unit stride in time: vectors are transposed.
template <class Stored>
ZOO_INLINE void gather_tile(Strip<const Stored> x, Strip<const Stored> gate, real<Stored>* buffer,
                            int64_t t) {
  constexpr int width = lanes<real<Stored>>;
  vec<real<Stored>> tile[width];
#pragma GCC unroll 16
  for (int row = 0; row < width; ++row) tile[row] = load(x.data + row * x.lane + t);
  if (gate) {
#pragma GCC unroll 16
    for (int row = 0; row < width; ++row) tile[row] *= load(gate.data + row * gate.lane + t);
  }
  transpose(tile);
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) store(buffer + (t + i) * width, tile[i]);
}

template <class Stored>
ZOO_INLINE void scatter_tile(const real<Stored>* buffer, Strip<Stored> y, Strip<const Stored> gate,
                             int64_t t) {
  constexpr int width = lanes<real<Stored>>;
  vec<real<Stored>> tile[width];
#pragma GCC unroll 16
  for (int i = 0; i < width; ++i) tile[i] = load(buffer + (t + i) * width);
  transpose(tile);
  if (gate) {
#pragma GCC unroll 16
    for (int row = 0; row < width; ++row) tile[row] *= load(gate.data + row * gate.lane + t);
  }
#pragma GCC unroll 16
  for (int row = 0; row < width; ++row) store(y.data + row * y.lane + t, tile[row]);
}

// The steps [begin, end) that whole tiles cover; the others go one by one.
template <class Stored, class OfY>
int64_t whole_tiles(Strip<OfY> x, Strip<const Stored> gate, int64_t begin, int64_t end) {
  constexpr int64_t width = lanes<real<Stored>>;
  const bool whole = x.rows == width && x.time == 1 && (!gate || gate.time == 1);
  return whole ? begin + (end - begin) / width * width : begin;
}

template <class Stored>
void gather_apart(Strip<const Stored> x, Strip<const Stored> gate, real<Stored>* buffer,
                  int64_t begin, int64_t end) {
  constexpr int width = lanes<real<Stored>>;
  const int64_t edge = whole_tiles(x, gate, begin, end);
  for (int64_t t = begin; t < edge; t += width) gather_tile(x, gate, buffer, t);
  for (int64_t t = edge; t < end; ++t) {
    store(buffer + t * width, load_gated(x, gate, 0, t, false, x.rows));
  }
}

template <class Stored>
void scatter_apart(const real<Stored>* buffer, Strip<Stored> y, Strip<const Stored> gate,
                   int64_t begin, int64_t end) {
  constexpr int width = lanes<real<Stored>>;
  const int64_t edge = whole_tiles(y, gate, begin, end);
  for (int64_t t = begin; t < edge; t += width) scatter_tile(buffer, y, gate, t);
  for (int64_t t = edge; t < end; ++t) {
    store_gated(load(buffer + t * width), y, gate, 0, t, false, y.rows);
  }
}

// ---- across one row ----

template <class Stored>
void gather_across(Strip<const Stored> x, Strip<const Stored> gate, real<Stored>* buffer,
                   int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; t += lanes<real<Stored>>) {
    store(buffer + t, load_gated(x, gate, 0, t, true, end - t));
  }
}

template <class Stored>
void scatter_across(const real<Stored>* buffer, Strip<Stored> y, Strip<const Stored> gate,
                    int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; t += lanes<real<Stored>>) {
    store_gated(load(buffer + t), y, gate, 0, t, true, end - t);
  }
}

// ---- either; by several threads, in parts that are whole vectors ----

template <class F>
void in_vectors(int threads, int64_t width, int64_t length, F f) {
  in_parts(threads, (length + width - 1) / width, [&](int64_t begin, int64_t end) {
    f(begin * width, std::min(end * width, length));
  });
}

// The steps of a strip of `length`, ready for first_pass: the signal itself where it can be read as
// it is, else a copy in `buffer`.
template <class Stored>
Steps<const real<Stored>> gather(Lanes how, Strip<const Stored> x, Strip<const Stored> gate,
                                 int64_t length, real<Stored>* buffer, int threads) {
  using Real = real<Stored>;
  constexpr int width = lanes<Real>;
  const bool apart = how == Lanes::apart;
  if constexpr (std::is_same_v<Stored, Real>) {
    if (!gate && apart && x.lane == 1 && x.rows == width) return {x.data, x.time, length};
    if (!gate && !apart && x.time == 1 && length % width == 0) {
      return {x.data, width, length / width};
    }
  }
  in_vectors(threads, width, length, [&](int64_t begin, int64_t end) {
    apart ? gather_apart(x, gate, buffer, begin, end) : gather_across(x, gate, buffer, begin, end);
  });
  return {buffer, width, apart ? length : (length + width - 1) / width};
}

// Where last_pass is to write: y itself if it can be written as it is, else the buffer, which
// `scatter` takes to y.
template <class Stored>
Steps<real<Stored>> place_for(Lanes how, Strip<Stored> y, bool gated, int64_t length,
                              real<Stored>* buffer) {
  using Real = real<Stored>;
  constexpr int width = lanes<Real>;
  const bool apart = how == Lanes::apart;
  if constexpr (std::is_same_v<Stored, Real>) {
    if (!gated && apart && y.lane == 1 && y.rows == width) return {y.data, y.time, length};
    if (!gated && !apart && y.time == 1 && length % width == 0) {
      return {y.data, width, length / width};
    }
  }
  return {buffer, width, apart ? length : (length + width - 1) / width};
}

template <class Stored>
void scatter(Lanes how, const real<Stored>* buffer, Strip<Stored> y, Strip<const Stored> gate,
             int64_t length, int threads) {
  in_vectors(threads, lanes<real<Stored>>, length, [&](int64_t begin, int64_t end) {
    how == Lanes::apart ? scatter_apart(buffer, y, gate, begin, end)
                        : scatter_across(buffer, y, gate, begin, end);
  });
}

}  // namespace zoo
