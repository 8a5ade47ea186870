// Reads a whole regular file; refuses others, since a pipe would wait for a writer and a device may never end.
#include "core/io/read_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "core/io/descriptor.hpp"

namespace binade {
namespace {

/// An open regular file and its size.
struct OpenFile {
  Descriptor descriptor;
  std::uint64_t bytes;
};

OpenFile open_file(const std::filesystem::path& path, std::string_view wanted) {
  Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (!file) throw DataError(fmt::format("cannot open {}: {}", shown(path), std::strerror(errno)));
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0)
    throw DataError(fmt::format("cannot read {}: {}", shown(path), std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) throw DataError(fmt::format("{} is a folder, want {}", shown(path), wanted));
  if (!S_ISREG(status.st_mode)) throw DataError(fmt::format("{} is a pipe or a device, want {}", shown(path), wanted));
  return {std::move(file), static_cast<std::uint64_t>(status.st_size)};
}

/// Fills as much of `bytes` as the file has; the number of bytes read.
std::size_t fill(const Descriptor& file, std::vector<std::byte>& bytes, const std::filesystem::path& path) {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t found = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) throw DataError(fmt::format("reading {} failed: {}", shown(path), std::strerror(errno)));
    if (found == 0) break;
    filled += static_cast<std::size_t>(found);
  }
  return filled;
}

}  // namespace

std::vector<std::byte> read_whole_file(const std::filesystem::path& path, std::string_view wanted,
                                       std::uint64_t limit) {
  const OpenFile file = open_file(path, wanted);
  if (file.bytes > limit) {
    throw DataError(fmt::format("{} has {} bytes; {} may have at most {}", shown(path), file.bytes, wanted, limit));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.bytes));
  if (fill(file.descriptor, bytes, path) != bytes.size()) {
    throw DataError(fmt::format("reading {} failed: it became shorter meanwhile", shown(path)));
  }
  return bytes;
}

std::vector<std::byte> read_head(const std::filesystem::path& path, std::string_view wanted, std::size_t count) {
  const OpenFile file = open_file(path, wanted);
  std::vector<std::byte> bytes(count);
  bytes.resize(fill(file.descriptor, bytes, path));
  return bytes;
}

}  // namespace binade
