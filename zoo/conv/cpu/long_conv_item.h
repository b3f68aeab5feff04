// What is done for one group of rows: the kernel's spectrum, the rows' convolutions, the gradients.
#pragma once

#include "long_conv_rows.h"
#include "scratch.h"
#include "spectrum.h"

namespace zoo {

template <class Stored, class Bins>
class Item {
 public:
  using Real = real<Stored>;

  Item(const Convolution<Stored>& c, const Arrangement& a, const Plan<Real>& plan,
       Buffers<Real> buffers, int threads)
      : c_(c), a_(a), plan_(plan), bins_(plan), in_(buffers), threads_(threads) {}

  // K = (F(forward) + conj F(backward) + skip) / n: skip is a tap at lag 0, whose spectrum is 1.
  void make_kernel(int64_t group) const {
    spectrum_of(c_.forward, group, in_.kernel);
    spectrum_of(c_.backward, group, in_.x);
    const vec<Real> skip = skips(group);
    const Real scale = Real(1) / static_cast<Real>(plan_.steps);
    for (int64_t i = 0; i < plan_.points; ++i) {
      cvec<Real> k = {skip, vec<Real>{}};
      if (c_.forward.data) k = k + in_.kernel[i];
      if (c_.backward.data) k = {k.re + in_.x[i].re, k.im - in_.x[i].im};
      in_.kernel[i] = {k.re * scale, k.im * scale};
    }
  }

  // y = post conv(pre u)
  void convolve(int64_t group, int64_t repeat, Signal<Stored> y) const {
    enter(c_.u, c_.pre, group, repeat, in_.x);
    expect(y, group, repeat);
    visit(plan_, Multiply<Bins>{bins_, in_.x, in_.kernel}, threads_);
    leave(in_.x, y, c_.post, group, repeat);
  }

  template <Wanted wanted>
  void differentiate(int64_t group, int64_t repeat, const ConvolutionGradients<Stored>& d,
                     cvec<Real>* sum) const {
    enter(d.g, c_.post, group, repeat, in_.g);
    enter(c_.u, c_.pre, group, repeat, in_.x);
    expect(d.du, group, repeat);
    visit(plan_, Gradients<Bins, wanted>{bins_, in_.g, in_.x, in_.kernel, sum}, threads_);
    if constexpr (wanted != Wanted::sum) {
      const Steps<Real> gx = leave(in_.g, d.du, c_.pre, group, repeat);
      if (d.dpre.data) {  // then du is gated, and gx still in its buffer
        scatter(a_.lanes, gx.data, at(d.dpre, group, repeat), at(c_.u, group, repeat),
                c_.shape.length, threads_);
      }
    }
    if constexpr (wanted == Wanted::signal_and_output) leave(in_.x, d.dpost, d.g, group, repeat);
  }

  cvec<Real>* own_sum() const { return in_.sum; }

  // A long sum, in double: of sums in Real, which are zero again.
  void clear_total() const { std::fill_n(in_.total, plan_.points * in_.reals, 0.0); }

  void add_to_total(cvec<Real>* sum) const {
    each_real(sum, [](double& total, auto real) { return total += real, Real(0); });
  }

  void take_total(cvec<Real>* sum) const {
    each_real(sum, [](double& total, auto real) { return static_cast<Real>(total + real); });
  }

  // The gradients of the kernels and of skip (lag 0) from the sum over the batch of G conj(X).
  void finish(int64_t group, const cvec<Real>* sum, const ConvolutionGradients<Stored>& d) const {
    if (d.dbackward.data) finish_kernel(group, sum, true, d.dbackward, d.dskip);
    if (d.dforward.data) finish_kernel(group, sum, false, d.dforward, d.dskip);
  }

 private:
  // real = f(its total, real), for each real number of a sum
  template <class F>
  void each_real(cvec<Real>* sum, F f) const {
    double* total = in_.total;
    for (int64_t i = 0; i < plan_.points; ++i, total += in_.reals) {
      for (int lane = 0; lane < lanes<Real>; ++lane) {
        sum[i].re[lane] = f(total[lane], sum[i].re[lane]);
        sum[i].im[lane] = f(total[lanes<Real> + lane], sum[i].im[lane]);
      }
    }
  }

  template <class S>
  Strip<S> at(Signal<S> s, int64_t group, int64_t repeat) const {
    return strip_of(s, a_, c_.shape, group, repeat);
  }

  // first_pass of gate * signal
  void enter(Signal<const Stored> s, Signal<const Stored> gate, int64_t group, int64_t repeat,
             cvec<Real>* to) const {
    first_pass(plan_,
               gather(a_.lanes, at(s, group, repeat), at(gate, group, repeat), c_.shape.length,
                      in_.steps, threads_),
               to, threads_);
    prefetch<false>(next(s, group, repeat), c_.shape.length);
    prefetch<false>(next(gate, group, repeat), c_.shape.length);
  }

  template <class S>
  Strip<S> next(Signal<S> s, int64_t group, int64_t repeat) const {
    return repeat + 1 < a_.repeats ? at(s, group, repeat + 1) : Strip<S>{};
  }

  void expect(Signal<Stored> y, int64_t group, int64_t repeat) const {
    prefetch<true>(at(y, group, repeat), c_.shape.length);
  }

  // last_pass, then signal = gate * result; where the result is
  Steps<Real> leave(const cvec<Real>* from, Signal<Stored> s, Signal<const Stored> gate,
                    int64_t group, int64_t repeat) const {
    const Strip<Stored> strip = at(s, group, repeat);
    const Steps<Real> place =
        place_for(a_.lanes, strip, gate.data != nullptr, c_.shape.length, in_.steps);
    last_pass(plan_, from, place, threads_);
    if (place.data == in_.steps) {
      scatter(a_.lanes, in_.steps, strip, at(gate, group, repeat), c_.shape.length, threads_);
    }
    return place;
  }

  void spectrum_of(Kernel<const Real> k, int64_t group, cvec<Real>* to) const {
    if (!k.data) return;
    const Strip<const Real> rows = strip_of(k, a_, c_.shape, group), no_gate{};
    first_pass(plan_, gather(a_.lanes, rows, no_gate, k.taps, in_.steps, threads_), to, threads_);
    visit(plan_, ToSpectrum<Bins>{bins_, to}, threads_);
  }

  vec<Real> skips(int64_t group) const {
    if (!c_.skip) return vec<Real>{};
    const Strip<const Real> s = strip_of(Kernel<const Real>{c_.skip, 1}, a_, c_.shape, group);
    return s.lane == 1 && s.rows > 1 ? load_up_to(s.data, s.rows) : broadcast(*s.data);
  }

  void finish_kernel(int64_t group, const cvec<Real>* sum, bool conjugate, Kernel<Real> k,
                     Real* dskip) const {
    const Real scale = Real(1) / static_cast<Real>(plan_.steps);
    visit(plan_, FromSpectrum<Bins>{bins_, sum, in_.x, scale, conjugate}, threads_);
    const bool apart = a_.lanes == Lanes::apart;
    const int64_t steps = apart ? k.taps : divide_up(k.taps, lanes<Real>);
    last_pass(plan_, in_.x, {in_.steps, lanes<Real>, steps}, threads_);
    Strip<Real> rows = strip_of(k, a_, c_.shape, group);
    if (a_.batch_in_lanes) {
      add_lanes(k.taps);
      rows.rows = 1;
    }
    scatter(a_.lanes, in_.steps, rows, Strip<const Real>{}, k.taps, threads_);
    const int64_t first = a_.batch_in_lanes ? group : group * a_.width;
    if (dskip) std::copy_n(in_.steps, rows.rows, dskip + first);
  }

  // Rows of the batch: their sum is in lane 0.
  void add_lanes(int64_t steps) const {
    for (int64_t t = 0; t < steps; ++t) {
      Real* lane = in_.steps + t * lanes<Real>;
      for (int i = 1; i < lanes<Real>; ++i) lane[0] += lane[i];
    }
  }

  const Convolution<Stored>& c_;
  const Arrangement& a_;
  const Plan<Real>& plan_;
  Bins bins_;
  Buffers<Real> in_;
  int threads_;
};

}  // namespace zoo
