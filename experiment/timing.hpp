// Repeats something for a while and takes medians.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <vector>

namespace binade {

inline double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of all threads of this process together.
inline double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

inline double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

struct Timing {
  double wall_ms, cpu_ms;
};

/// Medians over calls of `body` for at least `seconds` and five times, after two calls that do not count.
template <class Body>
Timing measure(double seconds, Body&& body) {
  body();
  body();
  std::vector<double> wall, cpu;
  const double start = now_ms();
  while (now_ms() - start < 1000 * seconds || wall.size() < 5) {
    const double wall_before = now_ms(), cpu_before = cpu_ms();
    body();
    wall.push_back(now_ms() - wall_before);
    cpu.push_back(cpu_ms() - cpu_before);
  }
  return {median(wall), median(cpu)};
}

}  // namespace binade
