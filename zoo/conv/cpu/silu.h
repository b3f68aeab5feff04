// silu(z) = z / (1 + exp(-z)) and its derivative, on vectors.
#pragma once

#include <cstdint>

#include "simd.h"

namespace zoo {

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

}  // namespace zoo
