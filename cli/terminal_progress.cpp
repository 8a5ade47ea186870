// Progress on stderr: redrawn in place on a terminal, a plain line every few seconds elsewhere.
#include "cli/terminal_progress.hpp"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>

#include <fmt/format.h>

namespace binade {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kPlainLineSeconds = 5;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

std::string duration_text(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string progress_text(const std::string& what, std::int64_t done, std::int64_t total, const std::string& unit,
                          double seconds) {
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text =
      total > 0 ? fmt::format("{}  {}/{} {}", what, done, total, unit) : fmt::format("{}  {} {}", what, done, unit);
  if (total > 0) {
    text += fmt::format("  {} %", static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)));
  }
  if (rate > 0) text += fmt::format("  {:.{}f} {}/s", rate, rate < 100 ? 1 : 0, unit);
  if (total > 0 && done >= total) {
    text += "  " + duration_text(seconds);
  } else if (total > 0 && rate > 0) {
    text += "  " + duration_text(static_cast<double>(total - done) / rate) + " left";
  }
  return text;
}

namespace {

class TerminalStage : public ProgressStage {
 public:
  TerminalStage(std::string what, std::int64_t total, std::string unit)
      : what_(std::move(what)), unit_(std::move(unit)), total_(total) {}
  ~TerminalStage() override {
    const std::lock_guard lock(mutex_);
    show(true);
  }

  void advance(std::int64_t n) override {
    const std::lock_guard lock(mutex_);
    done_ += n;
    const bool complete = total_ > 0 && done_ >= total_;  // the last line is written at the end, and only then
    if (complete && !terminal_) return;
    if (seconds_between(shown_, Clock::now()) >= (terminal_ ? kRedrawSeconds : kPlainLineSeconds)) show(false);
  }

  void note(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    note_ = text;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void show(bool last) {
    shown_ = Clock::now();
    std::string line = progress_text(what_, done_, total_, unit_, seconds_between(start_, shown_));
    if (!note_.empty()) line += "  " + note_;
    std::fflush(stdout);  // both streams may go to one file: what was printed before comes before, whole
    if (terminal_) {
      const std::size_t width = line.size();
      line.append(width_ > width ? width_ - width : 0, ' ');
      width_ = width;
      line = "\r" + line + (last ? "\n" : "");
    } else {
      line += "\n";
    }
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
  }

  const std::string what_, unit_;
  const std::int64_t total_;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  std::int64_t done_ = 0;
  std::string note_;
  Clock::time_point shown_ = start_;
  std::size_t width_ = 0;  ///< characters of the line on the terminal, to be overwritten
};

}  // namespace

std::unique_ptr<ProgressStage> TerminalProgress::begin(const std::string& what, std::int64_t total,
                                                       const std::string& unit) {
  return std::make_unique<TerminalStage>(what, total, unit);
}

}  // namespace binade
