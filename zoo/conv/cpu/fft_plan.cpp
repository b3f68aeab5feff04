#include "fft_plan.h"

#include <cmath>
#include <list>
#include <mutex>

namespace zoo {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr size_t kept_plans = 16;

// exp(2 pi i numerator / denominator), without the loss of a large angle.
template <class Real>
Complex<Real> turn(int64_t numerator, int64_t denominator) {
  const double angle = 2 * pi * static_cast<double>(numerator % denominator) /
                       static_cast<double>(denominator);
  return {static_cast<Real>(std::cos(angle)), static_cast<Real>(std::sin(angle))};
}

// The radices whose product is `points`, the first first; empty if there are none. Four fits in 16
// registers, eight does not; 3 and 5 go first, where the input is real.
std::vector<int> radices_of(int64_t points) {
  std::vector<int> radices;
  for (int radix : {5, 3, 4, 2}) {
    for (; points % radix == 0; points /= radix) radices.push_back(radix);
  }
  return points == 1 ? radices : std::vector<int>{};
}

template <class Real>
std::vector<int> stages_of(int64_t points, Lanes lanes) {
  const int64_t unit = lanes == Lanes::across ? zoo::lanes<Real> : last_radix;
  if (points % unit != 0) return {};
  return radices_of(lanes == Lanes::across ? points : points / last_radix);
}

// Multiples of a power of two by 1, 9/8, 5/4, 3/2, 15/8: those lose at most a quarter.
template <class Real>
int64_t points_for(int64_t length, Lanes lanes) {
  const int64_t width = lanes == Lanes::across ? zoo::lanes<Real> : 1;
  const int64_t least = (length + width - 1) / width;
  int64_t best = INT64_MAX;
  for (int64_t odd : {1, 3, 5, 9, 15}) {
    int64_t points = odd;
    while (points < least || stages_of<Real>(points, lanes).empty()) points *= 2;
    best = points < best ? points : best;
  }
  return best;
}

template <class Real>
std::vector<Stage<Real>> make_stages(int64_t points, Lanes lanes) {
  std::vector<Stage<Real>> stages;
  int64_t length = points;
  for (int radix : stages_of<Real>(points, lanes)) {
    Stage<Real> stage{radix, length, {}};
    for (int64_t j = 0; j < stage.stride() && length < points; ++j) {
      for (int q = 1; q < radix; ++q) stage.factors.push_back(turn<Real>(-j * q, length));
    }
    length = stage.stride();
    stages.push_back(std::move(stage));
  }
  return stages;
}

// The factors of the first stage and the twist w^j of the ring, in one.
template <class Real>
std::vector<Complex<Real>> make_twist(const Stage<Real>& first) {
  std::vector<Complex<Real>> twist;
  for (int64_t j = 0; j < first.stride(); ++j) {
    for (int q = 0; q < first.radix; ++q) {
      twist.push_back(turn<Real>(j - 4 * j * q, 4 * first.length));
    }
  }
  return twist;
}

// Which frequency is at a position, once all stages have split it.
template <class Real>
int64_t frequency_at(int64_t position, const std::vector<Stage<Real>>& stages) {
  int64_t frequency = 0, scale = 1;
  for (const Stage<Real>& stage : stages) {
    frequency += scale * (position / stage.stride());
    position %= stage.stride();
    scale *= stage.radix;
  }
  return frequency;
}

// T[k2, lane] = exp(2 pi i lane (1 - 4 k2) / 4n)
template <class Real>
std::vector<cvec<Real>> make_between(int64_t points, const std::vector<Stage<Real>>& stages) {
  constexpr int width = lanes<Real>;
  std::vector<cvec<Real>> between;
  between.reserve(static_cast<size_t>(points / width * (width - 1)));
  for (int64_t block = 0; block < points; block += width) {
    for (int lane = 1; lane < width; ++lane) {
      cvec<Real> factors;
      for (int i = 0; i < width; ++i) {
        const int64_t k2 = frequency_at(block + i, stages);
        const Complex<Real> factor = turn<Real>(lane * (1 - 4 * k2), 4 * points * width);
        factors.re[i] = factor.re;
        factors.im[i] = factor.im;
      }
      between.push_back(factors);
    }
  }
  return between;
}

template <class Real>
Plan<Real> make_plan(int64_t points, Lanes lanes) {
  Plan<Real> plan{lanes, points, points, make_stages<Real>(points, lanes), {}, {}};
  plan.twist = make_twist(plan.stages.front());
  if (lanes == Lanes::across) {
    plan.steps = points * zoo::lanes<Real>;
    plan.between = make_between(points, plan.stages);
  }
  return plan;
}

}  // namespace

// The plans used last are kept; one in use lives on when it is dropped.
template <class Real>
std::shared_ptr<const Plan<Real>> plan_for(int64_t length, Lanes lanes) {
  static std::mutex mutex;
  static std::list<std::shared_ptr<const Plan<Real>>> plans;
  const int64_t points = points_for<Real>(length, lanes);
  const std::lock_guard<std::mutex> guard(mutex);
  for (auto place = plans.begin(); place != plans.end(); ++place) {
    if ((*place)->points != points || (*place)->lanes != lanes) continue;
    plans.splice(plans.begin(), plans, place);
    return plans.front();
  }
  plans.push_front(std::make_shared<const Plan<Real>>(make_plan<Real>(points, lanes)));
  if (plans.size() > kept_plans) plans.pop_back();
  return plans.front();
}

template std::shared_ptr<const Plan<float>> plan_for(int64_t, Lanes);
template std::shared_ptr<const Plan<double>> plan_for(int64_t, Lanes);

}  // namespace zoo
