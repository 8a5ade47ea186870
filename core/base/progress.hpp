// How a job tells what it does and learns that it is no longer wanted, without knowing who listens.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

namespace binade {

/// One stage of a job that is under way; it ends with its destruction.
class ProgressStage {
 public:
  virtual ~ProgressStage() = default;
  virtual void advance(std::int64_t n) = 0;
  /// Shown after the figures from now on, for example "loss 0.412".
  virtual void note(const std::string& text) = 0;
};

/// Who listens: a terminal, a log, a window.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// `total` units of work begin; 0 means that their number is unknown.
  virtual std::unique_ptr<ProgressStage> begin(const std::string& what, std::int64_t total,
                                               const std::string& unit) = 0;
};

/// Thrown between two units of work when the caller no longer wants the result. No file is left half-written.
struct Cancelled : std::exception {
  const char* what() const noexcept override { return "cancelled"; }
};

/// What every job is given beside its settings. The default is silent and runs to the end.
struct JobControl {
  ProgressSink* progress = nullptr;  ///< null: nobody listens
  std::function<bool()> cancelled;   ///< asked between units of work; empty: never

  /// @throws Cancelled
  void check() const {
    if (cancelled && cancelled()) throw Cancelled();
  }
};

/// A stage for as long as this lives.
class Progress {
 public:
  Progress(const JobControl& control, const std::string& what, std::int64_t total, const std::string& unit)
      : control_(control) {
    control_.check();
    if (control_.progress != nullptr) stage_ = control_.progress->begin(what, total, unit);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// @throws Cancelled after the units have been counted
  void advance(std::int64_t n = 1) {
    if (stage_) stage_->advance(n);
    control_.check();
  }
  void note(const std::string& text) {
    if (stage_) stage_->note(text);
  }

 private:
  const JobControl control_;
  std::unique_ptr<ProgressStage> stage_;
};

}  // namespace binade
