// The block before the HDF5 contents: made when all is written, checked before HDF5 sees anything.
#include "core/io/sealed_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/shown.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = 512;  ///< HDF5 calls it the user block: it may hold anything

std::string header_of(std::span<const std::byte> contents, const SealedKind& kind) {
  std::string header = fmt::format("{}\nbytes {}\nsha256 {}\n", kind.first_line, contents.size(), sha256_hex(contents));
  header.resize(kBlockBytes, '\0');
  return header;
}

std::string first_line_of(const SealedKind& kind) {
  return std::string(kind.first_line) + "\n";
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// HDF5 must never see a damaged file: the library is not made for that.
void verify(const std::string& name, std::span<const std::byte> bytes, const SealedKind& kind) {
  const std::string_view text = text_of(bytes);
  const std::string magic = first_line_of(kind);
  if (bytes.empty()) throw DataError(fmt::format("{} is empty", name));
  if (!is_sealed(bytes, kind)) {
    throw DataError(fmt::format("{} is not a {}: it does not begin with '{}'{}", name, kind.noun, kind.first_line,
                                text.starts_with("\x89HDF") ? " (it is some other HDF5 file)" : ""));
  }
  std::size_t wanted = 0;
  const std::string_view line = text.substr(magic.size(), 64);
  if (line.starts_with("bytes "))
    wanted = static_cast<std::size_t>(std::strtoull(std::string(line.substr(6)).c_str(), nullptr, 10));
  if (bytes.size() < kBlockBytes || bytes.size() - kBlockBytes < wanted) {
    throw DataError(fmt::format("{} is cut off: it has {} bytes of {}", name, bytes.size(), wanted + kBlockBytes));
  }
  if (header_of(bytes.subspan(kBlockBytes), kind) != text.substr(0, kBlockBytes)) {
    throw DataError(fmt::format("{} is damaged: its contents do not match the checksum they were written with", name));
  }
}

}  // namespace

bool is_sealed(std::span<const std::byte> head, const SealedKind& kind) {
  return text_of(head).starts_with(first_line_of(kind));
}

void save_sealed(const fs::path& path, const SealedKind& kind, const std::function<void(Hdf5File& file)>& write) {
  with_context(fmt::format("writing the {} {}", kind.noun, shown(path)), [&] {
    Hdf5File file = Hdf5File::in_memory(kBlockBytes);
    write(file);
    std::vector<std::byte> bytes = file.bytes();
    require(bytes.size() > kBlockBytes, "an HDF5 file of no more than its user block");
    const std::string header = header_of(std::span(bytes).subspan(kBlockBytes), kind);
    std::transform(header.begin(), header.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
    write_file_atomically(path, bytes);
  });
}

Hdf5File open_sealed(const fs::path& path, const SealedKind& kind) {
  verify(shown(path), read_whole_file(path, fmt::format("a {} file", kind.noun)), kind);
  return Hdf5File(path);
}

}  // namespace binade
