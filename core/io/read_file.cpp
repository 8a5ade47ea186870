// Reading a file at once.
#include "core/io/read_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade {

std::vector<std::byte> read_whole_file(const std::filesystem::path& path, std::string_view wanted) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw DataError(fmt::format("'{}' is a folder, want {}", path.string(), wanted));
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw DataError(fmt::format("cannot open '{}': {}", path.string(), std::strerror(errno)));
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::max<std::streamoff>(0, file.tellg())));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()))) {
    throw DataError(fmt::format("reading '{}' failed", path.string()));
  }
  return bytes;
}

}  // namespace binade
