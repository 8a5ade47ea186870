// Reads the machine's description from /proc and /etc; the versions of libraries come from the build.
#include "experiment/machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <fmt/format.h>

#include "core/base/abi.hpp"
#include "core/base/cpu.hpp"
#include "core/base/parallel.hpp"
#include "core/base/revision.hpp"

namespace binade {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

/// The value after the first line that begins with `key`, without separators and quotes; empty if there is none.
std::string value_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_not_of(" \t:=\"", key.size());
    if (begin == std::string::npos) return {};
    return line.substr(begin, line.find_last_not_of("\" ") + 1 - begin);
  }
  return {};
}

std::string or_unknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

}  // namespace

nlohmann::ordered_json machine_description() {
  utsname system{};
  uname(&system);
  const double memory_bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  nlohmann::ordered_json machine;
  machine["cpu"] = or_unknown(value_in("/proc/cpuinfo", "model name"));
  machine["architecture"] = system.machine;
  machine["isa"] = to_string(active_isa());
  machine["threads"] = thread_count();
  machine["memory_gib"] = fmt::format("{:.1f}", memory_bytes / (1 << 30));
  machine["os"] = or_unknown(value_in("/etc/os-release", "PRETTY_NAME"));
  machine["kernel"] = system.release;
  machine["compiler"] = kCompiler;
  machine["libraries"] = BINADE_LIBRARIES;
  machine["version"] = version();
  machine["revision"] = revision();
  return machine;
}

std::string version_text() {
  return fmt::format("{} (revision {})", version(), revision());
}

}  // namespace binade
