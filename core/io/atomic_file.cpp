// Atomic replacement of a file: temporary beside it, fsync, rename, fsync of the folder.
#include "core/io/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "core/io/descriptor.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  const int reason = errno;
  std::error_code ignored;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, ignored)) {
    throw DataError(fmt::format("cannot write {}: the folder {} does not exist", shown(path), shown(folder)));
  }
  throw DataError(fmt::format("cannot write {}: {}: {}", shown(path), what, std::strerror(reason)));
}

/// Unique within the folder: by process and a count, so that two writers never share a temporary.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<int> count{0};
  return path.string() + fmt::format(".{}.{}.tmp", ::getpid(), count++);
}

void write_all(const Descriptor& file, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "writing failed");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void write_file_atomically(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = temporary_beside(path);
  try {
    write(temporary);
    {
      const Descriptor file(temporary, O_RDONLY);
      if (!file || ::fsync(file.get()) != 0) fail(path, "flushing failed");
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "renaming the finished file failed");
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  // The new name itself must survive a crash; some file systems refuse to flush folders, which is no loss of data.
  const Descriptor folder(path.has_parent_path() ? path.parent_path() : fs::path("."), O_RDONLY | O_DIRECTORY);
  if (folder) static_cast<void>(::fsync(folder.get()));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, [&](const fs::path& temporary) {
    const Descriptor file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) fail(path, "creating a file beside it failed");
    write_all(file, text, path);
  });
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  write_file_atomically(path, std::string_view(text, bytes.size()));
}

}  // namespace binade
