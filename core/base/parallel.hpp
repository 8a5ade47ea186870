// The one thread pool of the process. Work is cut by (n, grain) alone, so results never depend on the thread count.
#pragma once

#include <cstdint>
#include <functional>

namespace binade {

/// Number of threads that parallel_for uses, the caller included. Starts as the number of CPUs this process may use.
int thread_count();

/// Sets it; 0 means "as many as there are CPUs". Not to be called from inside parallel_for.
void set_thread_count(int threads);

/// 0 .. thread_count() - 1: which of the pool's threads runs; 0 outside parallel_for. Index per-thread scratch with it.
int current_lane();

/// Calls body(begin, end) for consecutive ranges of at most `grain` indices that cover [0, n). The ranges depend on n
/// and grain only; their order and thread do not follow any rule. Inside a parallel_for it runs inline.
/// The first exception is rethrown in the caller after all ranges ended.
void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace binade
