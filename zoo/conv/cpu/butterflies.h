// Complex vectors, and the discrete Fourier transforms of 2, 3, 4, 5, 8 and 16 of them.
//
//   z_q <- sum_p z_p exp(-+ 2 pi i p q / R)          - forward, + inverse (without 1/R)
//
// in place and in natural order. Each lane is a transform of its own.
#pragma once

#include "simd.h"

namespace zoo {

template <class Value>
struct Complex {
  Value re, im;
};

template <class Real>
using cvec = Complex<vec<Real>>;

template <class V>
ZOO_INLINE Complex<V> operator+(Complex<V> a, Complex<V> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
ZOO_INLINE Complex<V> operator-(Complex<V> a, Complex<V> b) {
  return {a.re - b.re, a.im - b.im};
}
// The factor is a vector, or one number for all lanes.
template <class V, class Factor>
ZOO_INLINE Complex<V> operator*(Complex<V> a, Complex<Factor> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
template <class V, class Factor>
ZOO_INLINE Complex<V> times_conjugate(Complex<V> a, Complex<Factor> b) {
  return {a.re * b.re + a.im * b.im, a.im * b.re - a.re * b.im};
}

enum class Direction { forward, inverse };
constexpr Direction forward = Direction::forward, inverse = Direction::inverse;

// z w forward, z conj(w) inverse: tables hold forward factors.
template <Direction direction, class V, class Factor>
ZOO_INLINE Complex<V> twiddled(Complex<V> z, Complex<Factor> w) {
  if constexpr (direction == forward) return z * w;
  return times_conjugate(z, w);
}

// -i z forward, i z inverse.
template <Direction direction, class V>
ZOO_INLINE Complex<V> quarter_turn(Complex<V> z) {
  if constexpr (direction == forward) return {z.im, -z.re};
  return {-z.im, z.re};
}

template <Direction direction, class V>
ZOO_INLINE void dft2(Complex<V>& a, Complex<V>& b) {
  const Complex<V> sum = a + b;
  b = a - b;
  a = sum;
}

// With c = cos(2 pi / 3) = -1/2 and s = sin(2 pi / 3): the sums and differences of mirrored terms.
template <Direction direction, class V, class Real>
ZOO_INLINE void dft3(Complex<V>& a, Complex<V>& b, Complex<V>& c, Real) {
  constexpr Real sine = static_cast<Real>(0.86602540378443864676);
  const Complex<V> sum = b + c, turned = quarter_turn<direction>(b - c);
  const Complex<V> middle = {a.re - sum.re * Real(0.5), a.im - sum.im * Real(0.5)};
  const Complex<V> side = {turned.re * sine, turned.im * sine};
  a = a + sum;
  b = middle + side;
  c = middle - side;
}

template <Direction direction, class V>
ZOO_INLINE void dft4(Complex<V>& a, Complex<V>& b, Complex<V>& c, Complex<V>& d) {
  const Complex<V> even = a + c, odd = b + d;
  const Complex<V> even_turned = a - c, odd_turned = quarter_turn<direction>(b - d);
  a = even + odd;
  b = even_turned + odd_turned;
  c = even - odd;
  d = even_turned - odd_turned;
}

template <Direction direction, class V, class Real>
ZOO_INLINE void dft5(Complex<V> (&z)[5], Real) {
  constexpr Real c1 = static_cast<Real>(0.30901699437494742410);   // cos(2 pi / 5)
  constexpr Real c2 = static_cast<Real>(-0.80901699437494742410);  // cos(4 pi / 5)
  constexpr Real s1 = static_cast<Real>(0.95105651629515357212);   // sin(2 pi / 5)
  constexpr Real s2 = static_cast<Real>(0.58778525229247312917);   // sin(4 pi / 5)
  const Complex<V> near = z[1] + z[4], far = z[2] + z[3];
  const Complex<V> near_turned = quarter_turn<direction>(z[1] - z[4]);
  const Complex<V> far_turned = quarter_turn<direction>(z[2] - z[3]);
  const Complex<V> even1 = {z[0].re + near.re * c1 + far.re * c2,
                            z[0].im + near.im * c1 + far.im * c2};
  const Complex<V> even2 = {z[0].re + near.re * c2 + far.re * c1,
                            z[0].im + near.im * c2 + far.im * c1};
  const Complex<V> odd1 = {near_turned.re * s1 + far_turned.re * s2,
                           near_turned.im * s1 + far_turned.im * s2};
  const Complex<V> odd2 = {near_turned.re * s2 - far_turned.re * s1,
                           near_turned.im * s2 - far_turned.im * s1};
  z[0] = z[0] + near + far;
  z[1] = even1 + odd1;
  z[4] = even1 - odd1;
  z[2] = even2 + odd2;
  z[3] = even2 - odd2;
}

// z exp(-+ i pi / 4) = (z -+ i z) / sqrt(2)
template <Direction direction, class V, class Real>
ZOO_INLINE Complex<V> eighth_turn(Complex<V> z, Real) {
  constexpr Real half_root = static_cast<Real>(0.70710678118654752440);
  const Complex<V> sum = z + quarter_turn<direction>(z);
  return {sum.re * half_root, sum.im * half_root};
}

// Four of the even and four of the odd terms, then two.
template <Direction direction, class V, class Real>
ZOO_INLINE void dft8(Complex<V> (&z)[8], Real one) {
  dft4<direction>(z[0], z[2], z[4], z[6]);
  dft4<direction>(z[1], z[3], z[5], z[7]);
  const Complex<V> odd[4] = {z[1], eighth_turn<direction>(z[3], one),
                             quarter_turn<direction>(z[5]),
                             quarter_turn<direction>(eighth_turn<direction>(z[7], one))};
  const Complex<V> even[4] = {z[0], z[2], z[4], z[6]};
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    z[q] = even[q] + odd[q];
    z[q + 4] = even[q] - odd[q];
  }
}

// 4 x 4: columns, factors exp(-+ 2 pi i p q / 16), rows; last, (p, q) are put in natural order.
template <Direction direction, class V, class Real>
ZOO_INLINE void dft16(Complex<V> (&z)[16], Real) {
  constexpr Real c = static_cast<Real>(0.92387953251128675613);  // cos(pi / 8)
  constexpr Real s = static_cast<Real>(0.38268343236508977173);  // sin(pi / 8)
  constexpr Real r = static_cast<Real>(0.70710678118654752440);  // cos(pi / 4)
  constexpr Complex<Real> factor[10] = {{1, 0},   {c, -s},  {r, -r}, {s, -c}, {0, -1},
                                        {-s, -c}, {-r, -r}, {0, 0},  {0, 0},  {-c, s}};
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) dft4<direction>(z[p], z[p + 4], z[p + 8], z[p + 12]);
#pragma GCC unroll 3
  for (int q = 1; q < 4; ++q) {
#pragma GCC unroll 3
    for (int p = 1; p < 4; ++p) z[p + 4 * q] = twiddled<direction>(z[p + 4 * q], factor[p * q]);
  }
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) dft4<direction>(z[4 * q], z[4 * q + 1], z[4 * q + 2], z[4 * q + 3]);
  auto swap = [&z](int a, int b) {
    const Complex<V> kept = z[a];
    z[a] = z[b];
    z[b] = kept;
  };
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
#pragma GCC unroll 4
    for (int p = q + 1; p < 4; ++p) swap(4 * q + p, 4 * p + q);
  }
}

template <int radix, Direction direction, class Real>
ZOO_INLINE void dft(cvec<Real> (&z)[radix]) {
  static_assert((radix >= 2 && radix <= 5) || radix == 8 || radix == 16);
  constexpr Real one = 1;
  if constexpr (radix == 2) dft2<direction>(z[0], z[1]);
  if constexpr (radix == 3) dft3<direction>(z[0], z[1], z[2], one);
  if constexpr (radix == 4) dft4<direction>(z[0], z[1], z[2], z[3]);
  if constexpr (radix == 5) dft5<direction>(z, one);
  if constexpr (radix == 8) dft8<direction>(z, one);
  if constexpr (radix == 16) dft16<direction>(z, one);
}

}  // namespace zoo
