// Memory to work in.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "butterflies.h"

namespace zoo {

constexpr size_t kept_scratch = size_t{4} << 20;  // bytes

// One aligned block for all threads of a call. A thread keeps its last small one for the next call.
class Scratch {
 public:
  explicit Scratch(size_t bytes) {
    std::swap(block_, kept());
    if (block_.bytes < bytes) block_ = allocate(bytes);
  }
  ~Scratch() {
    if (block_.bytes <= kept_scratch) kept() = std::move(block_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return block_.data.get(); }

 private:
  struct Free {
    void operator()(char* data) const { std::free(data); }
  };
  struct Block {
    size_t bytes = 0;
    std::unique_ptr<char, Free> data;
  };
  static Block& kept() {
    static thread_local Block block;
    return block;
  }
  static Block allocate(size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    Block block;
    block.bytes = bytes;
    block.data.reset(static_cast<char*>(std::aligned_alloc(64, bytes)));
    if (!block.data) throw std::bad_alloc();
    return block;
  }
  Block block_;
};

// What one thread works in.
template <class Real>
struct Buffers {
  static constexpr int64_t count = 5, reals = 2 * lanes<Real>;  // buffers; real numbers of a point
  cvec<Real>*kernel, *x, *g, *sum;
  Real* steps;
  double* total;  // of sums, where there is one

  static size_t bytes(int64_t points, bool with_total) {
    const size_t total = with_total ? reals * sizeof(double) : 0;
    return points * (count * sizeof(cvec<Real>) + total);
  }
  Buffers(char* data, int64_t points) {
    kernel = reinterpret_cast<cvec<Real>*>(data);
    x = kernel + points;
    g = x + points;
    sum = g + points;
    steps = reinterpret_cast<Real*>(sum + points);
    total = reinterpret_cast<double*>(sum + 2 * points);
  }
};

}  // namespace zoo
