// The folder of --out, and the form of what is printed.
#pragma once

#include <filesystem>
#include <string>

#include "cli/bind.hpp"
#include "core/report/accuracy.hpp"

namespace binade {

/// What --format says.
Format format_of(const std::string& name);

/// @throws UsageError unless value >= 1
void check_positive(const char* flag, int value);

/// The folder of --out. Nothing is written if the flag is not given.
class OutputFolder {
 public:
  /// Creates it. @throws UsageError if it holds anything and neither --force nor `resume` is given; DataError if it
  /// cannot be made
  explicit OutputFolder(const OutputFlags& output, bool resume = false);
  explicit operator bool() const { return !path_.empty(); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  void write(const std::string& name, const std::string& text) const;
  /// report.json, .csv, .md, .txt and .tex.
  void write_report(const AccuracyReport& report) const;

 private:
  std::filesystem::path path_;
};

}  // namespace binade
