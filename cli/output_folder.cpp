// Makes the output folder and writes into it.
#include "cli/output_folder.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/atomic_file.hpp"

namespace binade {

namespace fs = std::filesystem;

Format format_of(const std::string& name) {
  for (const FormatEntry& entry : formats()) {
    if (entry.name == name) return entry.format;
  }
  throw ContractError("a format that --format does not offer: " + name);
}

void check_positive(const char* flag, int value) {
  if (value < 1) throw UsageError(fmt::format("--{}: {}; wanted is at least 1", flag, value));
}

OutputFolder::OutputFolder(const OutputFlags& output, bool resume) : path_(output.out) {
  if (path_.empty()) return;
  std::error_code error;
  if (fs::exists(path_) && !fs::is_directory(path_)) {
    throw UsageError(fmt::format("--out: '{}' is a file; wanted is a folder", output.out));
  }
  if (fs::is_directory(path_) && !fs::is_empty(path_) && !output.force && !resume) {
    throw UsageError(
        fmt::format("--out: '{}' holds files already; give another folder, or --force to overwrite", output.out));
  }
  fs::create_directories(path_, error);
  if (error) throw DataError(fmt::format("cannot create the folder '{}': {}", output.out, error.message()));
}

void OutputFolder::write_report(const AccuracyReport& report) const {
  write("report.json", render(report, Format::json));
  write("report.csv", render(report, Format::csv));
  write("report.md", render(report, Format::md));
  write("report.txt", render(report, Format::text));
  write("report.tex", render(report, Format::latex));
}

void OutputFolder::write(const std::string& name, const std::string& text) const {
  if (*this) write_file_atomically(file(name), text);
}

}  // namespace binade
