// A whole file in memory: how networks, lists and images are read before anything in them is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace binade {

/// Larger files are refused: no network, list or image of this project comes near it.
inline constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 32;

/// All bytes of the file. `wanted` says what should have been there, for the message: "a checkpoint file".
/// @throws DataError for a folder, a pipe or a device, a file that cannot be opened, is larger than `limit`, or fails
/// to be read
std::vector<std::byte> read_whole_file(const std::filesystem::path& path, std::string_view wanted,
                                       std::uint64_t limit = kMostFileBytes);

/// The first bytes of the file, at most `count` of them. @throws DataError as read_whole_file, except for the size
std::vector<std::byte> read_head(const std::filesystem::path& path, std::string_view wanted, std::size_t count);

}  // namespace binade
