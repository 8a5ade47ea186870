// The thread pool: workers spin briefly between jobs and then park, ranges are handed out by one atomic counter.
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

int cpus_allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

/// What one parallel_for asks for; lives on the caller's stack.
struct Job {
  std::int64_t n, grain;
  const std::function<void(std::int64_t, std::int64_t)>* body;
  std::atomic<std::int64_t> next{0};
  std::exception_ptr error;
  std::mutex error_mutex;

  void work() {
    inside = true;
    for (;;) {
      const std::int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= n) break;
      try {
        (*body)(begin, std::min(n, begin + grain));
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
    inside = false;
  }
};

class Pool {
 public:
  ~Pool() { stop(); }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void resize(int threads) {
    if (threads == size()) return;
    stop();
    quit_ = false;
    const std::uint64_t seen = generation_.load();
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i, seen] { serve(i, seen); });
  }

  void run(Job& job) {
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.work();
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; ++spin) {
      spin < kSpins ? pause() : std::this_thread::yield();
    }
  }

 private:
  static constexpr int kSpins = 4000;  // some 20 us on current machines: longer than the gap between two layers

  void serve(int index, std::uint64_t seen) {
    lane = index;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (quit_) return;
      job_->work();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      quit_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
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
  Job job{.n = n, .grain = grain, .body = &body};
  {
    const std::lock_guard lock(caller_mutex);
    pool().run(job);
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace binade
