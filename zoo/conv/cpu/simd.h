// Vectors of numbers, as wide as the machine's registers; loaded and stored as any type.
//
//   vec<float>  8 floats with AVX, 16 with AVX-512, 4 otherwise; + - * / work lane by lane
//   vec<double> half as many doubles
//
// Memory may hold double, float, bfloat16 or float16; `load` and `store` convert.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#define ZOO_INLINED __attribute__((always_inline))  // of a lambda
#define ZOO_INLINE inline ZOO_INLINED

namespace zoo {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class Real>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(Real));

// An element of a vector_size type may depend on a template parameter only through such a struct.
template <class Element, int count>
struct vector_of {
  typedef Element type __attribute__((vector_size(sizeof(Element) * count)));
};

template <class Real>
using vec = typename vector_of<Real, lanes<Real>>::type;

// The two 16-bit floating-point types, as their bits.
struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};

// The type that a signal of a given type is computed in.
template <class Stored>
struct computed {
  using type = float;
};
template <>
struct computed<double> {
  using type = double;
};

template <class To, class From>
ZOO_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class Vector, class Element>
ZOO_INLINE Vector load_raw(const Element* from) {
  Vector x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

template <class Real>
ZOO_INLINE vec<Real> broadcast(Real x) {
  return x - vec<Real>{};  // a scalar operand of a vector operation is repeated
}

// ---- 16-bit types, in vectors of `lanes<float>` ----

using words = vector_of<uint32_t, lanes<float>>::type;
using halves = vector_of<uint16_t, lanes<float>>::type;

ZOO_INLINE words choose(words condition, words yes, words no) {
  return (condition & yes) | (~condition & no);
}

// A bfloat16 is the upper half of a float.
ZOO_INLINE vec<float> widen_bfloat16(halves x) {
  return bit_cast<vec<float>>(__builtin_convertvector(x, words) << 16);
}

// Round to nearest, ties to even; a NaN stays a (quiet) NaN.
ZOO_INLINE halves narrow_bfloat16(vec<float> x) {
  const words bits = bit_cast<words>(x);
  const words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const words is_nan = bit_cast<words>((bits & 0x7fffffffu) > 0x7f800000u);
  return __builtin_convertvector(choose(is_nan, bits | 0x400000u, rounded) >> 16, halves);
}

// Multiplying by 2^112 moves the exponent's bias from 15 to 127, subnormals included.
ZOO_INLINE vec<float> widen_float16_portably(halves x) {
  const words bits = __builtin_convertvector(x, words);
  const words magnitude = (bits & 0x7fffu) << 13;
  const words finite = bit_cast<words>(bit_cast<vec<float>>(magnitude) * 0x1p112f);
  const words is_special = bit_cast<words>(magnitude >= 0x0f800000u);  // infinity and NaN
  return bit_cast<vec<float>>(choose(is_special, magnitude | 0x7f800000u, finite) |
                              ((bits & 0x8000u) << 16));
}

// Round to nearest even: normal numbers by integer arithmetic, subnormal ones by adding 1/2, whose
// last place is the smallest float16; 65520 and above is infinity.
ZOO_INLINE halves narrow_float16_portably(vec<float> x) {
  const words bits = bit_cast<words>(x), magnitude = bits & 0x7fffffffu;
  const words normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const words tiny = bit_cast<words>(bit_cast<vec<float>>(magnitude) + 0.5f) - 0x3f000000u;
  const words nan_or_infinity =
      choose(bit_cast<words>(magnitude > 0x7f800000u), words{} + 0x7e00u, words{} + 0x7c00u);
  words result = choose(bit_cast<words>(magnitude < 0x38800000u), tiny, normal);
  result = choose(bit_cast<words>(magnitude >= 0x477ff000u), nan_or_infinity, result);
  return __builtin_convertvector(result | ((bits >> 16) & 0x8000u), halves);
}

#if defined(__AVX512F__)
ZOO_INLINE vec<float> widen_float16(halves x) {
  return bit_cast<vec<float>>(_mm512_cvtph_ps(bit_cast<__m256i>(x)));
}
ZOO_INLINE halves narrow_float16(vec<float> x) {
  return bit_cast<halves>(_mm512_cvtps_ph(bit_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__F16C__) && defined(__AVX__)
ZOO_INLINE vec<float> widen_float16(halves x) {
  return bit_cast<vec<float>>(_mm256_cvtph_ps(bit_cast<__m128i>(x)));
}
ZOO_INLINE halves narrow_float16(vec<float> x) {
  return bit_cast<halves>(_mm256_cvtps_ph(bit_cast<__m256>(x), _MM_FROUND_TO_NEAREST_INT));
}
#else
ZOO_INLINE vec<float> widen_float16(halves x) { return widen_float16_portably(x); }
ZOO_INLINE halves narrow_float16(vec<float> x) { return narrow_float16_portably(x); }
#endif

// ---- load, store ----

ZOO_INLINE vec<float> load(const float* from) { return load_raw<vec<float>>(from); }
ZOO_INLINE vec<double> load(const double* from) { return load_raw<vec<double>>(from); }
ZOO_INLINE vec<float> load(const bfloat16* from) {
  return widen_bfloat16(load_raw<halves>(from));
}
ZOO_INLINE vec<float> load(const float16* from) { return widen_float16(load_raw<halves>(from)); }

ZOO_INLINE void store(float* to, vec<float> x) { std::memcpy(to, &x, sizeof x); }
ZOO_INLINE void store(double* to, vec<double> x) { std::memcpy(to, &x, sizeof x); }
ZOO_INLINE void store(bfloat16* to, vec<float> x) {
  const halves bits = narrow_bfloat16(x);
  std::memcpy(static_cast<void*>(to), &bits, sizeof bits);
}
ZOO_INLINE void store(float16* to, vec<float> x) {
  const halves bits = narrow_float16(x);
  std::memcpy(static_cast<void*>(to), &bits, sizeof bits);
}

// The first `count` < lanes elements; the other lanes are zero.
template <class Stored>
ZOO_INLINE auto load_some(const Stored* from, int count) {
  Stored whole[lanes<typename computed<Stored>::type>] = {};
  std::memcpy(static_cast<void*>(whole), from, sizeof(Stored) * static_cast<size_t>(count));
  return load(whole);
}

template <class Stored, class Vector>
ZOO_INLINE void store_some(Stored* to, Vector x, int count) {
  Stored whole[lanes<typename computed<Stored>::type>];
  store(whole, x);
  std::memcpy(static_cast<void*>(to), whole, sizeof(Stored) * static_cast<size_t>(count));
}

// ---- square transpose ----

// Lane i of the result is lane i of `low` or, where i has the bit `step`, lane i - step of `high`;
// `upper` adds `step` to both: the upper halves of blocks of 2 * step lanes.
template <int step, bool upper, class Vector, int... lane>
ZOO_INLINE Vector exchange(Vector low, Vector high, std::integer_sequence<int, lane...>) {
  constexpr int count = static_cast<int>(sizeof...(lane)), shift = upper ? step : 0;
  return __builtin_shufflevector(
      low, high, ((lane & step) ? count + lane - step + shift : lane + shift)...);
}

template <int step, class Vector, int count>
ZOO_INLINE void exchange_blocks(Vector (&x)[count]) {
  using all = std::make_integer_sequence<int, count>;
#pragma GCC unroll 16
  for (int i = 0; i < count; ++i) {
    if (i & step) continue;
    const Vector low = x[i], high = x[i + step];
    x[i] = exchange<step, false>(low, high, all{});
    x[i + step] = exchange<step, true>(low, high, all{});
  }
}

// x[i][j] <-> x[j][i], by exchanging ever smaller blocks (Eklundh).
template <class Vector, int count>
ZOO_INLINE void transpose(Vector (&x)[count]) {
  if constexpr (count >= 16) exchange_blocks<8>(x);
  if constexpr (count >= 8) exchange_blocks<4>(x);
  if constexpr (count >= 4) exchange_blocks<2>(x);
  exchange_blocks<1>(x);
}

}  // namespace zoo
