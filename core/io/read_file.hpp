// A whole file in memory: how networks are read before anything in them is believed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

namespace binade {

/// All bytes of the file. `wanted` says what should have been there, for the message: "a checkpoint file".
/// @throws DataError for a folder, a file that cannot be opened, or a failed read
std::vector<std::byte> read_whole_file(const std::filesystem::path& path, std::string_view wanted);

}  // namespace binade
