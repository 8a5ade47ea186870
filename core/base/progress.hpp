// A progress bar on stderr with rate and time left; plain lines now and then when stderr is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace binade {

/// What is told about a job after `seconds`, of which `done` of `total` units are done; total 0 means unknown.
/// "calibrate   64/256 images   25 %   41.2 images/s   5 s left"
std::string progress_text(const std::string& what, std::int64_t done, std::int64_t total, const std::string& unit,
                          double seconds);

/// "8 s", "2 min 05 s", "1 h 07 min"
std::string duration_text(double seconds);

/// One running job. Construct before, call `advance` as units are done (from any thread), destroy at the end: the last
/// line then says how much was done in which time.
class Progress {
 public:
  Progress(std::string what, std::int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t n = 1);
  /// Shown behind the line from now on, for example "loss 0.412".
  void note(std::string text);

 private:
  using Clock = std::chrono::steady_clock;
  void show(bool last);

  const std::string what_, unit_;
  const std::int64_t total_;
  const bool terminal_;
  const Clock::time_point start_;
  std::mutex mutex_;
  std::int64_t done_ = 0;
  std::string note_;
  Clock::time_point shown_;
  std::size_t width_ = 0;  ///< characters of the line on the terminal, to be overwritten
};

}  // namespace binade
