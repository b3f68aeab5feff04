// What is done to spectra: the last transform of each block fused with a product, in registers.
//
// Bins is how a block of `width` vectors becomes frequencies and back (fft_plan.h):
//   ApartBins   a DFT of 4 vectors; lanes are rows
//   AcrossBins  W vectors transposed, times T, a DFT of W vectors; lanes are frequencies
//
// A product names the buffers whose spectra it reads (inputs), the buffers that it leaves for the
// way back (outputs), and does blocks of `Bins::width` vectors in [begin, begin + count).
#pragma once

#include <array>

#include "fft_passes.h"

namespace zoo {

template <class Real_>
struct ApartBins {
  using Real = Real_;
  static constexpr int width = last_radix;
  explicit ApartBins(const Plan<Real>&) {}

  ZOO_INLINE void to_spectrum(const cvec<Real>* x, int64_t at, cvec<Real> (&z)[width]) const {
#pragma GCC unroll 4
    for (int i = 0; i < width; ++i) z[i] = x[at + i];
    dft<width, forward, Real>(z);
  }

  ZOO_INLINE void to_block(cvec<Real> (&z)[width], int64_t at, cvec<Real>* x) const {
    dft<width, inverse, Real>(z);
#pragma GCC unroll 4
    for (int i = 0; i < width; ++i) x[at + i] = z[i];
  }
};

template <class Real_>
struct AcrossBins {
  using Real = Real_;
  static constexpr int width = lanes<Real>;
  const cvec<Real>* between;
  explicit AcrossBins(const Plan<Real>& plan) : between(plan.between.data()) {}

  ZOO_INLINE const cvec<Real>* factors(int64_t at) const {
    return between + at / width * (width - 1);
  }

  ZOO_INLINE static void transpose_both(cvec<Real> (&z)[width]) {
    vec<Real> part[width];
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) part[i] = z[i].re;
    transpose(part);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) z[i].re = part[i], part[i] = z[i].im;
    transpose(part);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) z[i].im = part[i];
  }

  ZOO_INLINE void to_spectrum(const cvec<Real>* x, int64_t at, cvec<Real> (&z)[width]) const {
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) z[i] = x[at + i];
    transpose_both(z);
#pragma GCC unroll 16
    for (int lane = 1; lane < width; ++lane) z[lane] = z[lane] * factors(at)[lane - 1];
    dft<width, forward, Real>(z);
  }

  ZOO_INLINE void to_block(cvec<Real> (&z)[width], int64_t at, cvec<Real>* x) const {
    dft<width, inverse, Real>(z);
#pragma GCC unroll 16
    for (int lane = 1; lane < width; ++lane) {
      z[lane] = times_conjugate(z[lane], factors(at)[lane - 1]);
    }
    transpose_both(z);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) x[at + i] = z[i];
  }
};

template <class Real>
using Buffer = cvec<Real>*;

// x becomes its spectrum.
template <class Bins>
struct ToSpectrum {
  using Real = typename Bins::Real;
  Bins bins;
  Buffer<Real> x;
  std::array<Buffer<Real>, 1> inputs() const { return {x}; }
  std::array<Buffer<Real>, 0> outputs() const { return {}; }

  void operator()(int64_t begin, int64_t count) const {
    for (int64_t at = begin; at < begin + count; at += Bins::width) {
      cvec<Real> z[Bins::width];
      bins.to_spectrum(x, at, z);
      std::copy_n(z, Bins::width, x + at);
    }
  }
};

// x <- the inverse of scale * spectrum, or of its conjugate.
template <class Bins>
struct FromSpectrum {
  using Real = typename Bins::Real;
  Bins bins;
  const cvec<Real>* spectrum;
  Buffer<Real> x;
  Real scale;
  bool conjugate;
  std::array<Buffer<Real>, 0> inputs() const { return {}; }
  std::array<Buffer<Real>, 1> outputs() const { return {x}; }

  void operator()(int64_t begin, int64_t count) const {
    const Complex<Real> factor = {scale, conjugate ? -scale : scale};
    for (int64_t at = begin; at < begin + count; at += Bins::width) {
      cvec<Real> z[Bins::width];
      for (int i = 0; i < Bins::width; ++i) {
        z[i] = {spectrum[at + i].re * factor.re, spectrum[at + i].im * factor.im};
      }
      bins.to_block(z, at, x);
    }
  }
};

// x <- the convolution:  C = X K
template <class Bins>
struct Multiply {
  using Real = typename Bins::Real;
  Bins bins;
  Buffer<Real> x;
  const cvec<Real>* kernel;
  std::array<Buffer<Real>, 1> inputs() const { return {x}; }
  std::array<Buffer<Real>, 1> outputs() const { return {x}; }

  void operator()(int64_t begin, int64_t count) const {
    for (int64_t at = begin; at < begin + count; at += Bins::width) {
      cvec<Real> z[Bins::width];
      bins.to_spectrum(x, at, z);
#pragma GCC unroll 16
      for (int i = 0; i < Bins::width; ++i) z[i] = z[i] * kernel[at + i];
      bins.to_block(z, at, x);
    }
  }
};

// What the backward pass is to give, beside the sum of G conj(X) that makes the kernels' gradients.
enum class Wanted { sum, signal, signal_and_output };

// sum <- sum + G conj(X);  g <- its transposed convolution, G conj(K);  x <- its convolution, X K
template <class Bins, Wanted wanted>
struct Gradients {
  using Real = typename Bins::Real;
  Bins bins;
  Buffer<Real> g, x;
  const cvec<Real>* kernel;
  Buffer<Real> sum;
  std::array<Buffer<Real>, 2> inputs() const { return {g, x}; }
  auto outputs() const {
    if constexpr (wanted == Wanted::sum) return std::array<Buffer<Real>, 0>{};
    if constexpr (wanted == Wanted::signal) return std::array<Buffer<Real>, 1>{g};
    if constexpr (wanted == Wanted::signal_and_output) return std::array<Buffer<Real>, 2>{g, x};
  }

  void operator()(int64_t begin, int64_t count) const {
    for (int64_t at = begin; at < begin + count; at += Bins::width) {
      cvec<Real> of_x[Bins::width], of_g[Bins::width];
      bins.to_spectrum(x, at, of_x);
      bins.to_spectrum(g, at, of_g);
#pragma GCC unroll 16
      for (int i = 0; i < Bins::width; ++i) {
        sum[at + i] = sum[at + i] + times_conjugate(of_g[i], of_x[i]);
        if constexpr (wanted != Wanted::sum) of_g[i] = times_conjugate(of_g[i], kernel[at + i]);
        if constexpr (wanted == Wanted::signal_and_output) of_x[i] = of_x[i] * kernel[at + i];
      }
      if constexpr (wanted != Wanted::sum) bins.to_block(of_g, at, g);
      if constexpr (wanted == Wanted::signal_and_output) bins.to_block(of_x, at, x);
    }
  }
};

}  // namespace zoo
