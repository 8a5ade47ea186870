// A folder of drawn images that appears when it is complete and says what it holds: what all generated sets share.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "datasets/transforms.hpp"

namespace binade {

/// The file that says what a drawn set was made with, and that it is complete.
inline constexpr const char* kDrawnMarker = "generated.json";

/// `write` fills a folder beside `root`, which is then renamed to it; what a killed run left is removed. Does nothing
/// and returns false if `root` holds a set with this description.
/// @throws DataError if `root` holds anything else, or cannot be written
bool make_drawn_set(const std::filesystem::path& root, const nlohmann::json& description,
                    const std::function<void(const std::filesystem::path& folder)>& write);

/// @throws DataError with the system's reason
void write_drawn_text(const std::filesystem::path& path, const std::string& text);
/// RGB or one channel; a .png file, else JPEG of quality 90. @throws DataError with the system's reason
void write_drawn_image(const std::filesystem::path& path, const Pixels& image);

}  // namespace binade
