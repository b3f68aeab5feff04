// The stages of a transform over buffers of complex vectors.
//
//   first_pass    real steps -> twisted, first stage (decimation in frequency)
//   split, merge  one of the stages between, and its inverse, on blocks in place
//   last_pass     inverse of the first stage, untwisted; only the real part: the convolution
//   visit         depth first, so that blocks that fit in the nearest cache stay there: all stages
//                 after the first, a product of spectra, and those stages back
#pragma once

#include <algorithm>
#include <cmath>

#include "fft_plan.h"

namespace zoo {

// Real vectors `pitch` apart; those from `count` on are zero, or not wanted.
template <class Value>
struct Steps {
  Value* data;
  int64_t pitch, count;
  Value* at(int64_t step) const { return data + step * pitch; }
  Steps from(int64_t step) const { return {at(step), pitch, count - step}; }
};

constexpr int64_t block_bytes = 16384;  // of one buffer: half of a first-level cache

// ---- between ----

// One butterfly: elements `stride` apart, and the factors of its outputs but the first, or null.
template <int radix, class Real>
ZOO_INLINE void split_one(cvec<Real>* x, int64_t stride, const Complex<Real>* factors) {
  cvec<Real> z[radix];
#pragma GCC unroll 5
  for (int p = 0; p < radix; ++p) z[p] = x[p * stride];
  dft<radix, forward, Real>(z);
#pragma GCC unroll 5
  for (int q = 1; q < radix && factors; ++q) z[q] = z[q] * factors[q - 1];
#pragma GCC unroll 5
  for (int q = 0; q < radix; ++q) x[q * stride] = z[q];
}

template <int radix, class Real>
ZOO_INLINE void merge_one(cvec<Real>* x, int64_t stride, const Complex<Real>* factors) {
  cvec<Real> z[radix];
#pragma GCC unroll 5
  for (int q = 0; q < radix; ++q) z[q] = x[q * stride];
#pragma GCC unroll 5
  for (int q = 1; q < radix && factors; ++q) z[q] = times_conjugate(z[q], factors[q - 1]);
  dft<radix, inverse, Real>(z);
#pragma GCC unroll 5
  for (int p = 0; p < radix; ++p) x[p * stride] = z[p];
}

// A stage on `count` elements, which are whole blocks: for each j, the same factors for all blocks.
template <int radix, Direction direction, class Real>
void pass(cvec<Real>* x, int64_t count, const Stage<Real>& stage) {
  const int64_t stride = stage.stride(), length = stage.length;
  const auto one = [stride](cvec<Real>* at, const Complex<Real>* factors) {
    if constexpr (direction == forward) split_one<radix, Real>(at, stride, factors);
    if constexpr (direction == inverse) merge_one<radix, Real>(at, stride, factors);
  };
  for (int64_t block = 0; block < count; block += length) one(x + block, nullptr);
  for (int64_t j = 1; j < stride; ++j) {
    Complex<Real> factors[radix - 1];
    std::copy_n(&stage.factors[static_cast<size_t>(j * (radix - 1))], radix - 1, factors);
    for (int64_t block = 0; block < count; block += length) one(x + block + j, factors);
  }
}

// f with a compile-time copy of the radix: 2, 3, 4 or 5.
template <class F>
ZOO_INLINE void with_radix(int radix, F f) {
  switch (radix) {
    case 2: return f(std::integral_constant<int, 2>());
    case 3: return f(std::integral_constant<int, 3>());
    case 4: return f(std::integral_constant<int, 4>());
    default: return f(std::integral_constant<int, 5>());
  }
}

template <class Real>
void split(cvec<Real>* x, int64_t count, const Stage<Real>& stage) {
  with_radix(stage.radix, [&](auto radix) { pass<radix, forward>(x, count, stage); });
}

template <class Real>
void merge(cvec<Real>* x, int64_t count, const Stage<Real>& stage) {
  with_radix(stage.radix, [&](auto radix) { pass<radix, inverse>(x, count, stage); });
}

// ---- first and last ----

// w^(p points / radix) = exp(2 pi i p / 4 radix), p < radix: the twist of a butterfly's elements.
template <int radix, class Real>
struct Corner {
  Complex<Real> at[radix];
  Corner() {
    for (int p = 0; p < radix; ++p) {
      const double angle = 1.57079632679489661923 * p / radix;
      at[p] = {static_cast<Real>(std::cos(angle)), static_cast<Real>(std::sin(angle))};
    }
  }
};

// f(j, live) for butterflies [begin, end): `live` of their steps, `stride` apart, are before
// `count`. It is a compile-time number where all are.
template <int radix, class F>
ZOO_INLINE void for_butterflies(int64_t begin, int64_t end, int64_t stride, int64_t count, F f) {
  const int fewer = static_cast<int>(count / stride);
  const int64_t edge = std::clamp(count % stride, begin, end);
  for (int64_t more : {1, 0}) {  // before the edge, one step more
    const int64_t first = more ? begin : edge, last = more ? edge : end;
    if (fewer + more == radix) {
      for (int64_t j = first; j < last; ++j) f(j, std::integral_constant<int, radix>());
    } else {
      for (int64_t j = first; j < last; ++j) f(j, fewer + static_cast<int>(more));
    }
  }
}

// z_q = (sum_p x_p w^(p stride) exp(-2 pi i p q / radix)) twist_q
template <int radix, class Real, class Live>
ZOO_INLINE void first_one(Steps<const Real> x, cvec<Real>* to, int64_t stride,
                          const Complex<Real>* twist, const Complex<Real>* corner, Live live) {
  cvec<Real> z[radix];
#pragma GCC unroll 5
  for (int p = 0; p < radix; ++p) {
    const vec<Real> step = p < live ? load(x.at(p * stride)) : vec<Real>{};
    z[p] = p == 0 ? cvec<Real>{step, vec<Real>{}}
                  : cvec<Real>{step * corner[p].re, step * corner[p].im};
  }
  dft<radix, forward, Real>(z);
#pragma GCC unroll 5
  for (int q = 0; q < radix; ++q) to[q * stride] = z[q] * twist[q];
}

// Its inverse: y_p = Re conj(w^(p stride)) sum_q conj(twist_q) z_q exp(2 pi i p q / radix)
template <int radix, class Real, class Live>
ZOO_INLINE void last_one(const cvec<Real>* from, Steps<Real> y, int64_t stride,
                         const Complex<Real>* twist, const Complex<Real>* corner, Live live) {
  cvec<Real> z[radix];
#pragma GCC unroll 5
  for (int q = 0; q < radix; ++q) z[q] = times_conjugate(from[q * stride], twist[q]);
  dft<radix, inverse, Real>(z);
#pragma GCC unroll 5
  for (int p = 0; p < radix; ++p) {
    if (p >= live) break;
    store(y.at(p * stride),
          p == 0 ? z[p].re : z[p].re * corner[p].re + z[p].im * corner[p].im);
  }
}

template <int radix, class Real>
void first_butterflies(const Plan<Real>& plan, Steps<const Real> x, cvec<Real>* to, int64_t begin,
                       int64_t end) {
  static const Corner<radix, Real> corner;
  const int64_t stride = plan.points / radix;
  const Complex<Real>* twist = plan.twist.data();
  for_butterflies<radix>(begin, end, stride, x.count, [&](int64_t j, auto live) ZOO_INLINED {
    first_one<radix, Real>(x.from(j), to + j, stride, twist + j * radix, corner.at, live);
  });
}

template <int radix, class Real>
void last_butterflies(const Plan<Real>& plan, const cvec<Real>* from, Steps<Real> y, int64_t begin,
                      int64_t end) {
  static const Corner<radix, Real> corner;
  const int64_t stride = plan.points / radix;
  const Complex<Real>* twist = plan.twist.data();
  for_butterflies<radix>(begin, end, stride, y.count, [&](int64_t j, auto live) ZOO_INLINED {
    last_one<radix, Real>(from + j, y.from(j), stride, twist + j * radix, corner.at, live);
  });
}

// f(begin, end) for parts of [0, count), by `threads`; parts do not matter to the result.
template <class F>
void in_parts(int threads, int64_t count, F f) {
  if (threads == 1) return f(int64_t{0}, count);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int part = 0; part < threads; ++part) {
    f(count * part / threads, count * (part + 1) / threads);
  }
}

template <class Real>
void first_pass(const Plan<Real>& plan, Steps<const Real> x, cvec<Real>* to, int threads) {
  const Stage<Real>& stage = plan.stages.front();
  with_radix(stage.radix, [&](auto radix) {
    in_parts(threads, stage.stride(), [&](int64_t begin, int64_t end) {
      first_butterflies<radix, Real>(plan, x, to, begin, end);
    });
  });
}

template <class Real>
void last_pass(const Plan<Real>& plan, const cvec<Real>* from, Steps<Real> y, int threads) {
  const Stage<Real>& stage = plan.stages.front();
  with_radix(stage.radix, [&](auto radix) {
    in_parts(threads, stage.stride(), [&](int64_t begin, int64_t end) {
      last_butterflies<radix, Real>(plan, from, y, begin, end);
    });
  });
}

// ---- depth first ----

// Stages from `level` on for elements [begin, begin + count), the product, and the stages back.
// `product` says which buffers go forward, and which back; product(begin, count) is in between.
template <class Real, class Product>
void visit_blocks(const Plan<Real>& plan, size_t level, int64_t begin, int64_t count,
                  const Product& product) {
  const bool small = count * static_cast<int64_t>(sizeof(cvec<Real>)) <= block_bytes;
  const size_t end = small ? plan.stages.size() : std::min(level + 1, plan.stages.size());
  const auto part = [begin](cvec<Real>* buffer) { return buffer + begin; };
  for (size_t s = level; s < end; ++s) {
    for (auto* x : product.inputs()) split(part(x), count, plan.stages[s]);
  }
  if (end == plan.stages.size()) {
    product(begin, count);
  } else {
    const int64_t length = plan.stages[level].stride();
    for (int64_t i = 0; i < count; i += length) {
      visit_blocks(plan, end, begin + i, length, product);
    }
  }
  for (size_t s = end; s-- > level;) {
    for (auto* x : product.outputs()) merge(part(x), count, plan.stages[s]);
  }
}

// Everything between first_pass and last_pass.
template <class Real, class Product>
void visit(const Plan<Real>& plan, const Product& product, int threads) {
  const int64_t length = plan.stages.front().stride();
  if (plan.points * static_cast<int64_t>(sizeof(cvec<Real>)) <= block_bytes) {
    return visit_blocks(plan, 1, 0, plan.points, product);
  }
  in_parts(threads, plan.stages.front().radix, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) visit_blocks(plan, 1, i * length, length, product);
  });
}

}  // namespace zoo
