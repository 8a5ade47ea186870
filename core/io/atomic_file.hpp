// Files that are written beside their place, flushed and renamed: a killed run leaves the old file or the new one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

namespace binade {

/// Replaces `path` by the contents, in one step. The folder must exist.
/// @throws DataError naming the path and the reason (no such folder, no permission, disk full)
void write_file_atomically(const std::filesystem::path& path, std::string_view text);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// For writers that want a path of their own: `write(temporary)` makes the file, which is then flushed and renamed.
/// If `write` throws, `path` stays as it was and the temporary file is removed.
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const std::filesystem::path& temporary)>& write);

}  // namespace binade
