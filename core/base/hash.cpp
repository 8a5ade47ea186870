// SHA-256 by OpenSSL's libcrypto, which uses the CPU's instructions for it.
#include "core/base/hash.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

/// A running digest.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "libcrypto has no SHA-256");
  }
  void add(const void* data, std::size_t bytes) {
    require(EVP_DigestUpdate(context_.get(), data, bytes) == 1, "libcrypto failed to hash");
  }
  std::string hex() {
    std::array<unsigned char, 32> digest{};
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1, "libcrypto failed to hash");
    std::string text;
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.add(bytes.data(), bytes.size());
  return digest.hex();
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::string sha256_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw DataError(fmt::format("cannot hash '{}': it is a folder, not a file", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(fmt::format("cannot open '{}': {}", path.string(), std::strerror(errno)));
  Sha256 digest;
  std::vector<char> piece(1 << 16);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    digest.add(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) throw DataError(fmt::format("reading '{}' failed half way", path.string()));
  return digest.hex();
}

}  // namespace binade
