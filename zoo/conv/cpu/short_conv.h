// The short convolution, for any type of signal. pybind11 is kept out of the files that compute: its
// headers take longer to compile than the code.
#pragma once

#include <array>
#include <cstdint>
#include <string>

using Address = uintptr_t;                // of a tensor's first element; 0: no tensor
using Sizes = std::array<int64_t, 4>;     // batch, length, channels, taps
using Strides = std::array<int64_t, 3>;   // in elements, of batch, time and channel

void short_conv(const std::string& dtype, const Sizes& sizes, bool silu, Address y,
                const Strides& y_strides, Address u, const Strides& u_strides, Address w,
                Address bias, int threads);

void short_conv_backward(const std::string& dtype, const Sizes& sizes, bool silu, Address du,
                         const Strides& du_strides, Address dw, Address dbias, Address g,
                         const Strides& g_strides, Address u, const Strides& u_strides, Address w,
                         Address bias, int threads);
