// The header is written from its description in core/io/sealed_file.hpp.
#include "tests/harness/sealing.hpp"

#include <fstream>
#include <iterator>
#include <string_view>

#include "core/base/hash.hpp"

namespace binade::testing_tools {

std::string resealed(const std::string& bytes) {
  constexpr std::size_t kBlock = 512;
  if (bytes.size() <= kBlock) return bytes;
  const std::string contents = bytes.substr(kBlock);
  std::string header = bytes.substr(0, bytes.find('\n') + 1);
  header += "bytes " + std::to_string(contents.size()) + "\nsha256 " + sha256_hex(std::string_view(contents)) + "\n";
  header.resize(kBlock, '\0');
  return header + contents;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace binade::testing_tools
