// Progress on stderr: redrawn in place on a terminal, a plain line every few seconds elsewhere.
#include "core/base/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

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

Progress::Progress(std::string what, std::int64_t total, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  show(true);
}

void Progress::advance(std::int64_t n) {
  const std::lock_guard lock(mutex_);
  done_ += n;
  if (seconds_between(shown_, Clock::now()) >= (terminal_ ? kRedrawSeconds : kPlainLineSeconds)) show(false);
}

void Progress::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

void Progress::show(bool last) {
  shown_ = Clock::now();
  std::string line = progress_text(what_, done_, total_, unit_, seconds_between(start_, shown_));
  if (!note_.empty()) line += "  " + note_;
  if (terminal_) {
    const std::size_t width = line.size();
    line.append(width_ > width ? width_ - width : 0, ' ');
    width_ = width;
    std::fprintf(stderr, "\r%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

}  // namespace binade
