// The thread pool: ranges, nesting, exceptions, resizing and many short jobs.
#include "core/base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core/base/error.hpp"

namespace binade {
namespace {

class Parallel : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
  void TearDown() override { set_thread_count(0); }
};

using Range = std::pair<std::int64_t, std::int64_t>;

TEST_P(Parallel, ranges_depend_on_n_and_grain_only) {
  for (const std::int64_t n : {0, 1, 7, 64, 1000}) {
    for (const std::int64_t grain : {1, 3, 64, 999, 5000}) {
      std::mutex mutex;
      std::set<Range> ranges, wanted;
      parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(ranges.emplace(begin, end).second) << "twice: " << begin;
      });
      for (std::int64_t begin = 0; begin < n; begin += grain) wanted.emplace(begin, std::min(n, begin + grain));
      EXPECT_EQ(ranges, wanted) << n << " by " << grain;
    }
  }
}

TEST_P(Parallel, lanes_are_exclusive_and_below_the_thread_count) {
  EXPECT_EQ(thread_count(), GetParam());
  EXPECT_EQ(current_lane(), 0);
  std::vector<std::atomic<int>> running(static_cast<std::size_t>(GetParam()));
  parallel_for(2000, 1, [&](std::int64_t, std::int64_t) {
    const int lane = current_lane();
    ASSERT_LT(lane, GetParam());
    EXPECT_EQ(running[static_cast<std::size_t>(lane)].fetch_add(1), 0) << "two bodies on lane " << lane;
    running[static_cast<std::size_t>(lane)].fetch_sub(1);
  });
}

TEST_P(Parallel, nested_calls_run_inline_on_the_same_lane) {
  std::vector<int> counts(100 * 50);
  parallel_for(100, 1, [&](std::int64_t outer, std::int64_t) {
    const int lane = current_lane();
    const auto thread = std::this_thread::get_id();
    parallel_for(50, 7, [&](std::int64_t begin, std::int64_t end) {
      EXPECT_EQ(current_lane(), lane);
      EXPECT_EQ(std::this_thread::get_id(), thread);
      for (std::int64_t i = begin; i < end; ++i) ++counts[static_cast<std::size_t>(outer * 50 + i)];
    });
  });
  for (const int count : counts) ASSERT_EQ(count, 1);
}

TEST_P(Parallel, an_exception_reaches_the_caller_and_the_pool_lives_on) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> visited{0};
    EXPECT_THROW(parallel_for(64, 1,
                              [&](std::int64_t begin, std::int64_t) {
                                ++visited;
                                if (begin % 16 == 5) throw DataError("range " + std::to_string(begin));
                              }),
                 DataError);
    if (GetParam() > 1) {
      EXPECT_EQ(visited, 64) << "a range was skipped";
    }
    EXPECT_THROW(parallel_for(8, 1,
                              [](std::int64_t, std::int64_t) {
                                parallel_for(4, 1, [](std::int64_t, std::int64_t) { throw UsageError("inner"); });
                              }),
                 UsageError);
    std::atomic<int> after{0};
    parallel_for(64, 1, [&](std::int64_t, std::int64_t) { ++after; });
    EXPECT_EQ(after, 64);
  }
}

TEST_P(Parallel, many_short_jobs) {
  std::atomic<std::int64_t> sum{0};
  for (int job = 0; job < 3000; ++job) {
    parallel_for(8, 1, [&](std::int64_t begin, std::int64_t) { sum += begin; });
  }
  EXPECT_EQ(sum, 3000 * 28);
}

TEST_P(Parallel, callers_on_several_threads_take_turns) {
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int job = 0; job < 200; ++job) {
        parallel_for(16, 2, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 200 * 16);
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, ::testing::Values(1, 2, 5));

TEST(ParallelPool, resizes) {
  for (const int threads : {1, 5, 2, 3, 1, 4}) {
    set_thread_count(threads);
    EXPECT_EQ(thread_count(), threads);
    std::atomic<int> count{0};
    parallel_for(100, 1, [&](std::int64_t, std::int64_t) { ++count; });
    EXPECT_EQ(count, 100);
  }
  set_thread_count(0);
  EXPECT_GE(thread_count(), 1);
}

TEST(ParallelPool, refuses_misuse) {
  EXPECT_THROW(parallel_for(10, 0, [](std::int64_t, std::int64_t) {}), ContractError);
  EXPECT_THROW(parallel_for(10, 1, [](std::int64_t, std::int64_t) { set_thread_count(2); }), ContractError);
}

}  // namespace
}  // namespace binade
