// A call is cut into items: a group of rows that share lanes (or one channel), and a slice of the
// batch. Each item makes the kernel's spectrum, then does its rows one after the other. Items, and
// the order in which sums are added, do not depend on the number of threads; nor does a row's
// result depend on what else is in the batch.
#include "long_conv.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "long_conv_item.h"

namespace zoo {
namespace {

constexpr int64_t worth_threads = 1 << 14;         // elements
constexpr int64_t worth_threads_in_row = 1 << 15;  // steps
constexpr int64_t repeats_in_sum = 32;             // longer sums in float drift where data are biased

int thread_number() {
#if defined(_OPENMP)
  return omp_get_thread_num();
#else
  return 0;
#endif
}

template <class Stored>
struct Job {
  using Real = real<Stored>;
  const Convolution<Stored>& c;
  Arrangement a;
  std::shared_ptr<const Plan<Real>> plan;
  int threads = 1, threads_in_row = 1;
  bool long_sums;  // over the batch: sums of some repeats are added in double

  explicit Job(const Convolution<Stored>& convolution)
      : c(convolution),
        a(arrange(c.shape, c.u.time, lanes<Real>)),
        plan(plan_for<Real>(c.shape.length, a.lanes)),
        long_sums(a.repeats > a.slices * repeats_in_sum) {
    const int64_t items = a.groups * a.slices;
    if (c.shape.batch * c.shape.channels * c.shape.length < worth_threads) return;
    const bool few = items < c.threads, large = a.lanes == Lanes::apart;  // too few, or in memory
    if (c.shape.length >= worth_threads_in_row && (few || large)) {
      threads_in_row = c.threads;
    } else {
      threads = static_cast<int>(std::min<int64_t>(items, c.threads));
    }
  }

  // f(item) with the buffers of a thread, for item = 0 .. count - 1, and their bins.
  template <class Bins, class F>
  void each(int64_t count, char* scratch, F f) const {
    const size_t bytes = Buffers<Real>::bytes(plan->points, long_sums);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
    for (int64_t i = 0; i < count; ++i) {
      char* mine = scratch + bytes * static_cast<size_t>(threads > 1 ? thread_number() : 0);
      f(Item<Stored, Bins>(c, a, *plan, Buffers<Real>(mine, plan->points), threads_in_row), i);
    }
  }

  size_t scratch_bytes() const {
    return Buffers<Real>::bytes(plan->points, long_sums) * static_cast<size_t>(threads);
  }
};

template <class Real, class F>
void with_bins(Lanes how, F f) {
  how == Lanes::apart ? f(static_cast<ApartBins<Real>*>(nullptr))
                      : f(static_cast<AcrossBins<Real>*>(nullptr));
}

template <class Stored, class Bins>
void convolve_all(const Job<Stored>& job, Signal<Stored> y) {
  const Scratch scratch(job.scratch_bytes());
  job.template each<Bins>(job.a.groups * job.a.slices, scratch.data(), [&](auto item, int64_t i) {
    const int64_t group = i / job.a.slices, slice = i % job.a.slices;
    item.make_kernel(group);
    for (int64_t r = job.a.first_repeat(slice); r < job.a.first_repeat(slice + 1); ++r) {
      item.convolve(group, r, y);
    }
  });
}

// Each slice has a sum of its own; they are added in order.
template <class Stored, class Bins, Wanted wanted>
void differentiate_all(const Job<Stored>& job, const ConvolutionGradients<Stored>& d) {
  using Real = real<Stored>;
  const int64_t slices = job.a.slices, points = job.plan->points;
  const size_t shared = slices > 1 ? static_cast<size_t>(job.a.groups * slices * points) : 0;
  const Scratch scratch(job.scratch_bytes() + shared * sizeof(cvec<Real>));
  cvec<Real>* sums = reinterpret_cast<cvec<Real>*>(scratch.data() + job.scratch_bytes());
  job.template each<Bins>(job.a.groups * slices, scratch.data(), [&](auto item, int64_t i) {
    const int64_t group = i / slices, slice = i % slices;
    cvec<Real>* sum = slices > 1 ? sums + i * points : item.own_sum();
    std::fill_n(sum, points, cvec<Real>{});
    if (wanted != Wanted::sum) item.make_kernel(group);
    if (job.long_sums) item.clear_total();
    for (int64_t r = job.a.first_repeat(slice); r < job.a.first_repeat(slice + 1); ++r) {
      item.template differentiate<wanted>(group, r, d, sum);
      if (job.long_sums && r % repeats_in_sum == 0) item.add_to_total(sum);
    }
    if (job.long_sums) item.take_total(sum);
    if (slices == 1) item.finish(group, sum, d);
  });
  if (slices == 1) return;
  job.template each<Bins>(job.a.groups, scratch.data(), [&](auto item, int64_t group) {
    cvec<Real>* sum = sums + group * slices * points;
    for (int64_t i = points; i < slices * points; ++i) sum[i % points] = sum[i % points] + sum[i];
    item.finish(group, sum, d);
  });
}

}  // namespace

template <class Stored>
void long_conv(const Convolution<Stored>& c, Signal<Stored> y) {
  const Job<Stored> job(c);
  with_bins<real<Stored>>(job.a.lanes, [&](auto* bins) {
    convolve_all<Stored, std::remove_pointer_t<decltype(bins)>>(job, y);
  });
}

template <class Stored>
void long_conv_gradients(const Convolution<Stored>& c, const ConvolutionGradients<Stored>& d) {
  const Job<Stored> job(c);
  with_bins<real<Stored>>(job.a.lanes, [&](auto* bins) {
    using Bins = std::remove_pointer_t<decltype(bins)>;
    if (d.dpost.data) {
      differentiate_all<Stored, Bins, Wanted::signal_and_output>(job, d);
    } else if (d.du.data) {
      differentiate_all<Stored, Bins, Wanted::signal>(job, d);
    } else {
      differentiate_all<Stored, Bins, Wanted::sum>(job, d);
    }
  });
}

#define ZOO_INSTANTIATE(Stored)                                              \
  template void long_conv(const Convolution<Stored>&, Signal<Stored>);       \
  template void long_conv_gradients(const Convolution<Stored>&,              \
                                    const ConvolutionGradients<Stored>&)
ZOO_INSTANTIATE(float);
ZOO_INSTANTIATE(double);
ZOO_INSTANTIATE(bfloat16);
ZOO_INSTANTIATE(float16);

}  // namespace zoo
