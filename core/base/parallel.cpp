// The thread pool: workers spin briefly between jobs and then park; ranges are shared out, and help is welcome.
#include "core/base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <sched.h>

#include "core/base/denormals.hpp"
#include "core/base/error.hpp"

namespace binade {
namespace {

thread_local int lane = 0;
thread_local bool inside = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

/// Waits a moment. Whoever this thread waits for may need its processor: it is offered now and then.
void relax(int spin) {
  spin % 64 == 63 ? std::this_thread::yield() : pause();
}

int cpus_allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

/// Ranges that one thread begins with; when they are done, it helps the others.
struct alignas(64) Share {
  std::atomic<std::int64_t> next{0};
  std::int64_t end = 0;
};

/// What one parallel_for asks for; lives on the caller's stack.
struct Job {
  std::int64_t n, grain;
  const std::function<void(std::int64_t, std::int64_t)>* body;
  std::vector<Share>* shares;  ///< of the ranges, counted from 0: one per thread, so that it meets its own data again
  std::exception_ptr error;
  std::mutex error_mutex;

  void work() {
    inside = true;
    const std::size_t threads = shares->size();
    for (std::size_t i = 0; i < threads; ++i) {
      Share& share = (*shares)[(static_cast<std::size_t>(lane) + i) % threads];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const std::int64_t range = share.next.fetch_add(1, std::memory_order_relaxed);
        if (range < share.end) run(range * grain);
      }
    }
    inside = false;
  }

  void run(std::int64_t begin) {
    try {
      (*body)(begin, std::min(n, begin + grain));
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }
};

/// A job is open until its caller finds no range left; nobody waits for a worker that did not come in time, which is
/// what keeps short jobs short when other programs hold its processor.
class Pool {
 public:
  ~Pool() { stop(); }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void resize(int threads) {
    if (threads == size() && !shares_.empty()) return;
    stop();
    quit_ = false;
    shares_ = std::vector<Share>(static_cast<std::size_t>(threads));
    const std::uint64_t seen = state_.load() >> kGeneration;
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i, seen] { serve(i, seen); });
  }

  void run(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body,
           std::exception_ptr& error) {
    const std::int64_t ranges = (n + grain - 1) / grain, threads = size();
    for (std::int64_t i = 0; i < threads; ++i) {
      Share& share = shares_[static_cast<std::size_t>(i)];
      share.next.store(i * ranges / threads, std::memory_order_relaxed);
      share.end = (i + 1) * ranges / threads;
    }
    Job job{.n = n, .grain = grain, .body = &body, .shares = &shares_};
    job_ = &job;
    announce(kOpen);
    job.work();
    state_.fetch_and(~kOpen, std::memory_order_relaxed);
    for (int spin = 0; (state_.load(std::memory_order_acquire) & kInside) != 0; ++spin) relax(spin);
    error = job.error;
  }

 private:
  static constexpr int kSpins = 4000;  // some 20 us and more: longer than the gap between two layers
  // The parts of state_: how many workers are inside, whether more may come, and the number of the job.
  static constexpr std::uint64_t kInside = 0xFFFF, kOpen = 0x10000;
  static constexpr int kGeneration = 17;

  /// The next job. Between a parking worker and this one, at least one sees what the other wrote.
  void announce(std::uint64_t open) {
    const std::uint64_t generation = (state_.load(std::memory_order_relaxed) >> kGeneration) + 1;
    state_.store(generation << kGeneration | open);
    if (parked_.load() == 0) return;
    { const std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }

  void serve(int index, std::uint64_t seen) {
    const FlushDenormals flush;
    lane = index;
    const auto is_new = [&] { return state_.load() >> kGeneration != seen; };
    for (;;) {
      for (int spin = 0; spin < kSpins && !is_new(); ++spin) relax(spin);
      if (!is_new()) {
        std::unique_lock lock(mutex_);
        ++parked_;
        wake_.wait(lock, is_new);
        --parked_;
      }
      std::uint64_t state = state_.load();
      seen = state >> kGeneration;
      if (quit_) return;
      while ((state & kOpen) != 0 && state >> kGeneration == seen) {
        if (!state_.compare_exchange_weak(state, state + 1)) continue;
        job_->work();
        state_.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }

  void stop() {
    quit_ = true;
    announce(0);
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  std::vector<std::thread> workers_;
  std::vector<Share> shares_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<std::uint64_t> state_{0};
  std::atomic<int> parked_{0};
  std::atomic<bool> quit_{false};
  Job* job_ = nullptr;
};

Pool& pool() {
  static Pool instance;
  static const bool started = (instance.resize(cpus_allowed()), true);
  static_cast<void>(started);
  return instance;
}

std::mutex caller_mutex;  // one job at a time; a second thread of the program waits for its turn

}  // namespace

int thread_count() {
  return pool().size();
}

void set_thread_count(int threads) {
  require(!inside, "set_thread_count inside parallel_for");
  const std::lock_guard lock(caller_mutex);
  pool().resize(threads <= 0 ? cpus_allowed() : threads);
}

int current_lane() {
  return lane;
}

void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) {
  require(grain > 0, "parallel_for: grain must be positive");
  if (n <= 0) return;
  const FlushDenormals flush;
  if (n <= grain) return body(0, n);  // one range: what it calls may still go parallel
  if (inside || thread_count() == 1) {
    const bool nested = inside;
    inside = true;
    try {
      for (std::int64_t begin = 0; begin < n; begin += grain) body(begin, std::min(n, begin + grain));
    } catch (...) {
      inside = nested;
      throw;
    }
    inside = nested;
    return;
  }
  std::exception_ptr error;
  {
    const std::lock_guard lock(caller_mutex);
    pool().run(n, grain, body, error);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace binade
