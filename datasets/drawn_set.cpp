// Writes a drawn set to a folder, completely or not at all.
#include "datasets/drawn_set.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "core/io/json_text.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

std::string partial_prefix(const fs::path& root) {
  return root.filename().string() + ".partial-";
}

/// Folders of runs that were killed: of this root, of a process that is no more.
void remove_leftovers(const fs::path& root) {
  std::error_code ignored;
  const std::string prefix = partial_prefix(root);
  for (fs::directory_iterator entry(root.parent_path(), ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    int process = 0;
    const auto parsed = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), process);
    const bool is_number = parsed.ec == std::errc{} && parsed.ptr == name.data() + name.size() && process > 0;
    std::error_code failed;
    if (is_number && ::kill(process, 0) != 0 && errno == ESRCH) fs::remove_all(entry->path(), failed);
  }
}

/// True if the finished set is there. @throws DataError for anything else in the folder
bool holds_set(const fs::path& root, const nlohmann::json& wanted) {
  if (!fs::exists(root)) return false;
  if (!fs::is_directory(root))
    throw DataError(fmt::format("'{}' is a file; wanted a folder for images", root.string()));
  if (fs::is_empty(root)) return false;
  if (!fs::is_regular_file(root / kDrawnMarker)) {
    throw DataError(fmt::format("'{}' holds other files and no generated set; give another folder", root.string()));
  }
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;
  const std::vector<std::byte> bytes = read_whole_file(root / kDrawnMarker, "a list of settings", kMostBytes);
  const auto found = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "generated.json");
  if (found == wanted) return true;
  throw DataError(
      fmt::format("'{}' holds another generated set; remove it or give another folder\n  found  {}\n  wanted {}",
                  root.string(), printable(found.dump()), wanted.dump()));
}

}  // namespace

void write_drawn_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw DataError(fmt::format("cannot write '{}': {}", path.string(), std::strerror(errno)));
}

void write_drawn_image(const fs::path& path, const Pixels& image) {
  const Shape& shape = image.shape();
  cv::Mat mat(shape.h, shape.w, CV_8UC(shape.c), const_cast<std::uint8_t*>(image.data()));
  if (shape.c == 3) {
    cv::Mat bgr;
    cv::cvtColor(mat, bgr, cv::COLOR_RGB2BGR);
    mat = bgr;
  }
  std::vector<unsigned char> bytes;
  const bool is_png = path.extension() == ".png";
  const std::vector<int> settings =
      is_png ? std::vector<int>{cv::IMWRITE_PNG_COMPRESSION, 3} : std::vector<int>{cv::IMWRITE_JPEG_QUALITY, 90};
  require(cv::imencode(is_png ? ".png" : ".jpg", mat, bytes, settings), "the image encoder failed");
  write_drawn_text(path, std::string(bytes.begin(), bytes.end()));
}

bool make_drawn_set(const fs::path& wanted_root, const nlohmann::json& description,
                    const std::function<void(const fs::path& folder)>& write) {
  fs::path root = fs::absolute(wanted_root).lexically_normal();
  if (!root.has_filename()) root = root.parent_path();
  if (holds_set(root, description)) return false;
  remove_leftovers(root);
  cv::setNumThreads(1);
  const fs::path partial = root.parent_path() / (partial_prefix(root) + std::to_string(::getpid()));
  std::error_code error;
  fs::remove_all(partial, error);
  try {
    write(partial);
    write_drawn_text(partial / kDrawnMarker, description.dump(2) + "\n");
    fs::rename(partial, root, error);  // onto nothing, or onto an empty folder
    // Another process may have finished the same set meanwhile.
    if (error && !holds_set(root, description)) {
      throw DataError(fmt::format("cannot rename '{}' to '{}': {}", partial.string(), root.string(), error.message()));
    }
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  fs::remove_all(partial, error);
  return true;
}

}  // namespace binade
