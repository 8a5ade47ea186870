// Makes the output folder and writes into it.
#include "cli/output_folder.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <regex>
#include <sstream>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/atomic_file.hpp"

namespace binade {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMark = ".binade";

/// Files that a killed run was writing: NAME.PID.COUNT.tmp.
std::vector<fs::path> left_behind(const fs::path& folder) {
  static const std::regex kTemporary(".*\\.[0-9]+\\.[0-9]+\\.tmp");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && std::regex_match(entry.path().filename().string(), kTemporary)) {
      files.push_back(entry.path());
    }
  }
  return files;
}

/// True if nothing is in the folder but our mark and what a killed run was writing.
bool holds_nothing(const fs::path& folder, bool ours) {
  const auto entries = std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  return entries == (ours ? 1 + static_cast<std::ptrdiff_t>(left_behind(folder).size()) : 0);
}

void refuse_what_is_there(const fs::path& path, bool ours, bool force, bool resume) {
  if (!fs::exists(path)) return;
  if (!fs::is_directory(path)) {
    throw UsageError(fmt::format("--out: '{}' is a file; wanted is a folder", path.string()));
  }
  if (force || holds_nothing(path, ours)) return;
  if (!resume) {
    throw UsageError(
        fmt::format("--out: '{}' holds files already; give another folder, or --force to overwrite", path.string()));
  }
  if (!ours) {
    throw UsageError(
        fmt::format("--resume: '{}' holds files, but no run of binade ({} is missing); give the folder of the run, or "
                    "--force if its files may be overwritten",
                    path.string(), kMark));
  }
}

/// The folders that had to be made, outermost first.
std::vector<fs::path> make_folders(const fs::path& path) {
  std::vector<fs::path> made;
  for (fs::path at = path; !at.empty() && !fs::exists(at); at = at.parent_path()) made.insert(made.begin(), at);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw DataError(fmt::format("cannot create the folder '{}': {}", path.string(), error.message()));
  return made;
}

std::string host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// Replaces what the mark says.
void say(const Descriptor& mark, const std::string& text) {
  const std::string line = text + "\n";
  if (::ftruncate(mark.get(), 0) == 0) {
    static_cast<void>(!::pwrite(mark.get(), line.data(), line.size(), 0));
  }
}

/// "running PID HOST" or "done".
std::string said(const Descriptor& mark) {
  std::array<char, 400> text{};
  const ssize_t size = ::pread(mark.get(), text.data(), text.size() - 1, 0);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// Makes the folder this run's. A lock ends with its process, so that of a killed run is free; where another machine
/// wrote the mark, locks may not reach and the mark counts.
Descriptor take(const fs::path& folder) {
  const fs::path path = folder / kMark;
  Descriptor mark(path, O_RDWR | O_CREAT);
  if (!mark) {
    throw DataError(fmt::format("cannot write into the folder '{}': {}", folder.string(), std::strerror(errno)));
  }
  std::istringstream words(said(mark));
  std::string state, pid, where;
  words >> state >> pid >> where;
  const bool locked = ::flock(mark.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (locked || (state == "running" && where != host())) {
    throw UsageError(fmt::format("--out: process {} on {} writes into '{}'; give another folder{}", pid, where,
                                 folder.string(),
                                 locked ? "" : fmt::format(", or remove '{}' if that run has ended", path.string())));
  }
  say(mark, fmt::format("running {} {}", ::getpid(), host()));
  return mark;
}

/// Removes the folders that were made, if they hold nothing.
void remove_empty(const fs::path& path, const std::vector<fs::path>& made, bool marked) {
  std::error_code ignored;
  if (made.empty() || !fs::is_directory(path, ignored) || !holds_nothing(path, marked)) return;
  fs::remove(path / kMark, ignored);
  for (std::size_t i = made.size(); i-- > 0;) {
    if (!fs::remove(made[i], ignored)) return;
  }
}

}  // namespace

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
  const bool ours = fs::exists(path_ / kMark);
  refuse_what_is_there(path_, ours, output.force, resume);
  made_ = make_folders(path_);
  try {
    mark_.emplace(take(path_));
  } catch (...) {
    remove_empty(path_, made_, false);
    throw;
  }
  if (!ours) return;
  for (const fs::path& file : left_behind(path_)) {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
}

OutputFolder::~OutputFolder() {
  if (!mark_) return;
  say(*mark_, "done");
  remove_empty(path_, made_, true);
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
