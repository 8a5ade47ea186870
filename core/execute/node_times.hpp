// How long the nodes of a training step take.
#pragma once

#include <chrono>
#include <vector>

namespace binade {

/// Seconds of all threads together, over all steps so far. A clamp that is done with a batch norm counts there.
struct NodeTime {
  double forward = 0, backward = 0;
};

/// Adds the seconds from its making to its end; does nothing if not `on`.
class NodeTimer {
 public:
  NodeTimer(bool on, double& seconds) : seconds_(on ? &seconds : nullptr) {
    if (seconds_ != nullptr) start_ = Clock::now();
  }
  NodeTimer(const NodeTimer&) = delete;
  NodeTimer& operator=(const NodeTimer&) = delete;
  ~NodeTimer() {
    if (seconds_ != nullptr) *seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  double* seconds_;
  Clock::time_point start_;
};

}  // namespace binade
