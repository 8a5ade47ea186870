// A progress bar on stderr with rate and time left; plain lines now and then when stderr is not a terminal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/progress.hpp"

namespace binade {

/// What is told about a job after `seconds`, of which `done` of `total` units are done; total 0 means unknown.
/// "calibrate   64/256 images   25 %   41.2 images/s   5 s left"
std::string progress_text(const std::string& what, std::int64_t done, std::int64_t total, const std::string& unit,
                          double seconds);

/// "8 s", "2 min 05 s", "1 h 07 min"
std::string duration_text(double seconds);

/// Shows stages on stderr. A stage may be advanced from any thread; its last line says how much was done in which time.
class TerminalProgress : public ProgressSink {
 public:
  std::unique_ptr<ProgressStage> begin(const std::string& what, std::int64_t total, const std::string& unit) override;
};

}  // namespace binade
