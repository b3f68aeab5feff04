// Which rows of a signal go together: in the lanes of a vector, and one after the other in an item.
#pragma once

#include <algorithm>

#include "long_conv.h"
#include "strips.h"

namespace zoo {

constexpr int64_t wanted_items = 32;         // enough for that many threads
constexpr int64_t repeats_in_slice = 16;     // at least: each makes the kernel's spectrum anew
constexpr int64_t longest_sliced = 1 << 14;  // steps; each slice has a sum of its own in memory
constexpr int64_t shortest_across = 2048;    // steps; shorter rows are transposed into lanes
constexpr int64_t longest_apart = 1 << 16;   // steps; beyond, W rows at a time take much memory

// Groups are channels, or W channels where those are in lanes; a group is repeated for each row of
// the batch, or for W of them where those are in lanes. Nothing here depends on the number of
// threads, nor `lanes` on the batch.
struct Arrangement {
  Lanes lanes;
  bool batch_in_lanes;  // else channels; only where lanes are apart
  int64_t width, groups, repeats, slices;

  int64_t first_repeat(int64_t slice) const { return repeats * slice / slices; }
};

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline Arrangement arrange(const Shape& shape, int64_t time_stride, int64_t width) {
  Arrangement a{};
  const int64_t shortest = time_stride == 1 ? shortest_across : longest_apart + 1;
  a.lanes = shape.length >= shortest ? Lanes::across : Lanes::apart;
  a.width = a.lanes == Lanes::across ? 1 : width;
  const bool narrow = shape.channels < width && shape.channels < shape.batch;
  a.batch_in_lanes = a.lanes == Lanes::apart && narrow;
  a.groups = a.batch_in_lanes ? shape.channels : divide_up(shape.channels, a.width);
  a.repeats = a.batch_in_lanes ? divide_up(shape.batch, a.width) : shape.batch;
  const int64_t most = shape.length > longest_sliced ? 1 : a.repeats / repeats_in_slice;
  a.slices = std::clamp(wanted_items / a.groups, int64_t{1}, std::max(most, int64_t{1}));
  return a;
}

template <class Stored>
Strip<Stored> strip_of(Signal<Stored> s, const Arrangement& a, const Shape& shape, int64_t group,
                       int64_t repeat) {
  if (!s.data) return {nullptr, 0, 0, 0};
  if (a.batch_in_lanes) {
    const int64_t rows = std::min(a.width, shape.batch - repeat * a.width);
    return {s.data + repeat * a.width * s.batch + group * s.channel, s.batch, s.time,
            static_cast<int>(rows)};
  }
  const int64_t rows = std::min(a.width, shape.channels - group * a.width);
  return {s.data + repeat * s.batch + group * a.width * s.channel, s.channel, s.time,
          static_cast<int>(rows)};
}

template <class Real>
Strip<Real> strip_of(Kernel<Real> k, const Arrangement& a, const Shape& shape, int64_t group) {
  if (a.batch_in_lanes) return {k.data + group * k.taps, 0, 1, static_cast<int>(a.width)};
  return strip_of(Signal<Real>{k.data, 0, k.taps, 1}, a, shape, group, 0);
}

}  // namespace zoo
