// The folder of --out, and the form of what is printed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/bind.hpp"
#include "core/io/descriptor.hpp"
#include "core/report/accuracy.hpp"

namespace binade {

/// What --format says.
Format format_of(const std::string& name);

/// @throws UsageError unless value >= 1
void check_positive(const char* flag, int value);

/// The folder of --out, for one run at a time. Nothing is written if the flag is not given. A folder of ours carries a
/// file `.binade`, which says who writes there; one that stays without results is removed again.
class OutputFolder {
 public:
  /// Makes the folder and takes it for this run; what a killed run left half-written is removed.
  /// @throws UsageError if it holds anything and neither --force nor `resume` is given, if it is not ours and is to be
  /// resumed, or if another run writes there; DataError if it cannot be made or written to
  explicit OutputFolder(const OutputFlags& output, bool resume = false);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  explicit operator bool() const { return !path_.empty(); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  void write(const std::string& name, const std::string& text) const;
  /// report.json, .csv, .md, .txt and .tex.
  void write_report(const AccuracyReport& report) const;

 private:
  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  ///< folders that did not exist, outermost first
  std::optional<Descriptor> mark_;           ///< locked while this lives
};

}  // namespace binade
