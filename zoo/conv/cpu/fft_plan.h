// How a transform is cut into stages, and its tables.
//
// Work is done in the ring t^n = i: with w = exp(i pi / 2n), the spectrum of a real row x is
//
//   X_k = sum_t x_t w^t exp(-2 pi i t k / n)
//
// and if products of two such spectra are transformed back, the real part is exactly the causal
// convolution of two rows of length <= n: what wraps around is multiplied by i. So a real row of
// n steps costs one complex transform of n points, without padding.
//
// A buffer has `points` complex vectors. There are two ways to fill its lanes:
//
//   apart   each lane is a row of its own (adjacent channels, or rows of the batch):  n = points
//   across  the lanes are adjacent steps of one row, t = W s + lane:                  n = W points
//
// Across, the sum over s is a transform of `points` in the ring t^points = i, as it is apart; what
// remains is, with k = k2 + points k1, k2 < points,
//
//   X_k = sum_lane exp(-2 pi i lane k1 / W) T[k2, lane] (...)[k2, lane]
//   T[k2, lane] = w^lane exp(-2 pi i lane k2 / n)
//
// Spectra stay in the order in which the stages leave them: products do not mind.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "butterflies.h"

namespace zoo {

enum class Lanes { apart, across };

// `length` points become `radix` blocks of length / radix: block q holds the frequencies that are q
// modulo radix. Factors: exp(-2 pi i j q / length) at [j][q - 1].
template <class Real>
struct Stage {
  int radix;
  int64_t length;
  std::vector<Complex<Real>> factors;
  int64_t stride() const { return length / radix; }
};

// The DFT that ends the stages where lanes are rows of their own: fused with the product.
constexpr int last_radix = 4;

template <class Real>
struct Plan {
  Lanes lanes;
  int64_t points;  // complex vectors in a buffer
  int64_t steps;   // n, the longest row
  std::vector<Stage<Real>> stages;
  std::vector<Complex<Real>> twist;  // the first stage's: w^j exp(-2 pi i j q / points) at [j][q]
  std::vector<cvec<Real>> between;  // across: T at [block of W points][lane - 1]; in lanes: points
};

// The plan for rows of `length` steps: the cheapest n = 2^a 3^b 5^c >= length. Kept; thread-safe.
template <class Real>
std::shared_ptr<const Plan<Real>> plan_for(int64_t length, Lanes lanes);

}  // namespace zoo
