// The long convolution and its gradients, fused with skip and gates:
//
//   x = pre u,   c_t = sum_{s<=t} forward[t-s] x_s + sum_{s>=t} backward[s-t] x_s + skip x_t
//   y = post c
//
// Pointers and strides only. What is null is absent: a gate of ones, a kernel or skip of zeros, a
// result that is not wanted.
#pragma once

#include <cstdint>

#include "simd.h"

namespace zoo {

template <class Stored>
struct Signal {
  Stored* data = nullptr;
  int64_t batch = 0, channel = 0, time = 0;  // strides, in elements
};

// (channels, taps), contiguous
template <class Real>
struct Kernel {
  Real* data = nullptr;
  int64_t taps = 0;
};

struct Shape {
  int64_t batch, channels, length;
};

template <class Stored>
struct Convolution {
  using Real = typename computed<Stored>::type;
  Shape shape;
  Signal<const Stored> u, pre, post;
  Kernel<const Real> forward, backward;
  const Real* skip;  // (channels)
  int threads;
};

// y
template <class Stored>
void long_conv(const Convolution<Stored>& c, Signal<Stored> y);

template <class Stored>
struct ConvolutionGradients {
  using Real = typename computed<Stored>::type;
  Signal<const Stored> g;  // of the loss by y
  Signal<Stored> du, dpre, dpost;
  Kernel<Real> dforward, dbackward;
  Real* dskip;
};

// With gc = post g, and gx its transposed convolution:
//
//   du = pre gx,   dpre = u gx,   dpost = g c,   dskip = sum_{b,t} gc_t x_t,
//   dforward[j] = sum_{b,t} gc_t x_{t-j},   dbackward[j] = sum_{b,t} gc_t x_{t+j}
//
// du, or dforward or dbackward alone with no kernel given (the weights' gradient), or all.
template <class Stored>
void long_conv_gradients(const Convolution<Stored>& c, const ConvolutionGradients<Stored>& d);

}  // namespace zoo
