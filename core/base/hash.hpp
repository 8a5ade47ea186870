// SHA-256: how files, images and configurations are told apart in results.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace binade {

/// 64 lower-case hexadecimal digits. @source FIPS 180-4
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

/// Of a file's contents, read in pieces. @throws DataError if it cannot be read
std::string sha256_file(const std::filesystem::path& path);

}  // namespace binade
