// The compiled module: tensors as addresses and strides, None for what is absent. No header of torch
// is compiled, and pybind11's, which take longest, in this file only.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <string>

#include "long_conv.h"
#include "short_conv.h"

namespace py = pybind11;

namespace {

using namespace zoo;

using PySignal = std::optional<std::array<int64_t, 4>>;  // address; strides of batch, channel, time
using PyKernel = std::optional<std::array<int64_t, 2>>;  // address, taps
using PyShape = std::array<int64_t, 3>;                  // batch, channels, length

template <class T>
Signal<T> signal(const PySignal& s) {
  if (!s) return {};
  const auto [address, batch, channel, time] = *s;
  return {reinterpret_cast<T*>(address), batch, channel, time};
}

template <class T>
Kernel<T> kernel(const PyKernel& k) {
  if (!k) return {};
  return {reinterpret_cast<T*>((*k)[0]), (*k)[1]};
}

// f with a value of the type that a name stands for.
template <class F>
void with_type(const std::string& name, F f) {
  if (name == "float32") return f(float{});
  if (name == "float64") return f(double{});
  if (name == "bfloat16") return f(bfloat16{});
  if (name == "float16") return f(float16{});
  throw py::value_error("dtype " + name + ": float32, float64, bfloat16 or float16");
}

// What both functions are given: u, pre, post; forward, backward; skip.
struct PyConvolution {
  std::array<PySignal, 3> signals;
  std::array<PyKernel, 2> kernels;
  int64_t skip;
};

template <class Stored>
Convolution<Stored> convolution(const PyShape& shape, const PyConvolution& c, int threads) {
  using Real = typename computed<Stored>::type;
  return {{shape[0], shape[1], shape[2]},
          signal<const Stored>(c.signals[0]),
          signal<const Stored>(c.signals[1]),
          signal<const Stored>(c.signals[2]),
          kernel<const Real>(c.kernels[0]),
          kernel<const Real>(c.kernels[1]),
          reinterpret_cast<const Real*>(c.skip),
          threads};
}

void convolve(const std::string& dtype, const PyShape& shape,
              const std::array<PySignal, 3>& signals, const std::array<PyKernel, 2>& kernels,
              int64_t skip, const PySignal& y, int threads) {
  const py::gil_scoped_release release;
  with_type(dtype, [&](auto example) {
    using Stored = decltype(example);
    long_conv(convolution<Stored>(shape, {signals, kernels, skip}, threads), signal<Stored>(y));
  });
}

// results: du, dpre, dpost
void gradients(const std::string& dtype, const PyShape& shape,
               const std::array<PySignal, 3>& signals, const std::array<PyKernel, 2>& kernels,
               int64_t skip, const PySignal& g, const std::array<PySignal, 3>& of_signals,
               const std::array<PyKernel, 2>& of_kernels, int64_t of_skip, int threads) {
  const py::gil_scoped_release release;
  with_type(dtype, [&](auto example) {
    using Stored = decltype(example);
    using Real = typename computed<Stored>::type;
    long_conv_gradients(convolution<Stored>(shape, {signals, kernels, skip}, threads),
                        {signal<const Stored>(g), signal<Stored>(of_signals[0]),
                         signal<Stored>(of_signals[1]), signal<Stored>(of_signals[2]),
                         kernel<Real>(of_kernels[0]), kernel<Real>(of_kernels[1]),
                         reinterpret_cast<Real*>(of_skip)});
  });
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  using others_may_run = py::call_guard<py::gil_scoped_release>;
  m.def("long_conv", &convolve);
  m.def("long_conv_gradients", &gradients);
  m.def("short_conv", &short_conv, others_may_run());
  m.def("short_conv_backward", &short_conv_backward, others_may_run());
}
