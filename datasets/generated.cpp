// Writes the generated set to a folder, completely or not at all, and opens it again.
#include "datasets/generated.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "datasets/dataset.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMarker = "generated.json";
/// Raised whenever the same options would make other images.
constexpr int kGeneration = 2;

nlohmann::json describe(const GeneratedOptions& o) {
  return {{"generation", kGeneration},
          {"classes", o.classes},
          {"train", o.train},
          {"val", o.val},
          {"size", o.size},
          {"seed", o.seed},
          {"difficulty", o.difficulty},
          {"png", o.png}};
}

void check(const GeneratedOptions& o) {
  const auto most = static_cast<int>(generated_classes().size());
  if (o.classes < 2 || o.classes > most) {
    throw UsageError(fmt::format("{} classes of generated images; wanted 2 to {}", o.classes, most));
  }
  if (o.train < 0 || o.val < 0 || o.train + o.val < 1) {
    throw UsageError(fmt::format("{} training and {} validation images; wanted at least one image", o.train, o.val));
  }
  if (o.size < 16 || o.size > 1024)
    throw UsageError(fmt::format("generated images of {} pixels; wanted 16 to 1024", o.size));
  if (!(o.difficulty >= 0 && o.difficulty <= 3)) {
    throw UsageError(fmt::format("difficulty {}; wanted 0 to 3", o.difficulty));
  }
}

/// "train/disk/disk_000010.JPEG"
std::string name_of(const GeneratedOptions& o, bool is_train, int image) {
  const std::string_view name = generated_classes()[static_cast<std::size_t>(image % o.classes)];
  return fmt::format("{0}/{1}/{1}_{2:06d}.{3}", is_train ? "train" : "val", name, image, o.png ? "png" : "JPEG");
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw DataError(fmt::format("cannot write '{}': {}", path.string(), std::strerror(errno)));
}

void write_image(const fs::path& path, Pixels image) {
  cv::Mat mat(image.shape().h, image.shape().w, CV_8UC3, image.data());
  cv::cvtColor(mat, mat, cv::COLOR_RGB2BGR);
  std::vector<unsigned char> bytes;
  const bool is_png = path.extension() == ".png";
  const std::vector<int> settings =
      is_png ? std::vector<int>{cv::IMWRITE_PNG_COMPRESSION, 3} : std::vector<int>{cv::IMWRITE_JPEG_QUALITY, 90};
  require(cv::imencode(is_png ? ".png" : ".jpg", mat, bytes, settings), "the image encoder failed");
  write_text(path, std::string(bytes.begin(), bytes.end()));
}

void write_lists(const fs::path& folder, const GeneratedOptions& o) {
  std::string synsets, labels = "file,wnid,class_index\n";
  for (int c = 0; c < o.classes; ++c) {
    synsets += fmt::format("{0} {1} {1}\n", c, generated_classes()[static_cast<std::size_t>(c)]);
  }
  for (const bool is_train : {true, false}) {
    for (int i = 0; i < (is_train ? o.train : o.val); ++i) {
      const int label = i % o.classes;
      labels += fmt::format("{},{},{}\n", name_of(o, is_train, i), generated_classes()[static_cast<std::size_t>(label)],
                            label);
    }
  }
  write_text(folder / "synsets.txt", synsets);
  write_text(folder / "labels.csv", labels);
  write_text(folder / kMarker, describe(o).dump(2) + "\n");
}

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
bool holds_set(const fs::path& root, const GeneratedOptions& options) {
  if (!fs::exists(root)) return false;
  if (!fs::is_directory(root))
    throw DataError(fmt::format("'{}' is a file; wanted a folder for images", root.string()));
  if (fs::is_empty(root)) return false;
  std::ifstream file(root / kMarker);
  if (!file) {
    throw DataError(fmt::format("'{}' holds other files and no generated set; give another folder", root.string()));
  }
  const nlohmann::json found = nlohmann::json::parse(file, nullptr, false);
  const nlohmann::json wanted = describe(options);
  if (found == wanted) return true;
  throw DataError(
      fmt::format("'{}' holds another generated set; remove it or give another folder\n  found  {}\n  wanted {}",
                  root.string(), found.is_discarded() ? "an unreadable generated.json" : found.dump(), wanted.dump()));
}

void make_folders(const fs::path& folder, const GeneratedOptions& o) {
  std::error_code error;
  for (const char* split : {"train", "val"}) {
    for (int c = 0; c < o.classes && !error; ++c) {
      fs::create_directories(folder / split / generated_classes()[static_cast<std::size_t>(c)], error);
    }
  }
  if (error) throw DataError(fmt::format("cannot make the folder '{}': {}", folder.string(), error.message()));
}

void write_all(const fs::path& folder, const GeneratedOptions& o, const std::function<void(int, int)>& progress) {
  make_folders(folder, o);
  const int total = o.train + o.val;
  constexpr int kStep = 512;  // images between two reports of progress
  for (int first = 0; first < total; first += kStep) {
    const int count = std::min(kStep, total - first);
    parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
      for (int i = first + static_cast<int>(begin); i < first + static_cast<int>(end); ++i) {
        const bool is_train = i < o.train;
        const int image = is_train ? i : i - o.train;
        const auto stream = static_cast<std::uint64_t>(image) * 2 + (is_train ? 0 : 1);
        write_image(folder / name_of(o, is_train, image),
                    draw_generated(image % o.classes, o.size, o.difficulty, Random(o.seed, stream)));
      }
    });
    if (progress) progress(first + count, total);
  }
  write_lists(folder, o);
}

}  // namespace

bool generate_images(const fs::path& wanted_root, const GeneratedOptions& options,
                     const std::function<void(int done, int total)>& progress) {
  check(options);
  fs::path root = fs::absolute(wanted_root).lexically_normal();
  if (!root.has_filename()) root = root.parent_path();
  if (holds_set(root, options)) return false;
  remove_leftovers(root);
  cv::setNumThreads(1);
  const fs::path partial = root.parent_path() / (partial_prefix(root) + std::to_string(::getpid()));
  std::error_code error;
  fs::remove_all(partial, error);
  try {
    write_all(partial, options, progress);
    fs::rename(partial, root, error);  // onto nothing, or onto an empty folder
    // Another process may have finished the same set meanwhile.
    if (error && !holds_set(root, options)) {
      throw DataError(fmt::format("cannot rename '{}' to '{}': {}", partial.string(), root.string(), error.message()));
    }
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  fs::remove_all(partial, error);
  return true;
}

Dataset open_generated(const DatasetOptions& options) {
  const fs::path above = fs::absolute(options.root / "").lexically_normal().parent_path().parent_path();
  if (!fs::exists(options.root / kMarker) && !fs::exists(above / kMarker)) {
    throw DataError(
        fmt::format("'{}' holds no finished generated set (no {}); generate it first, or use the kind "
                    "'imagenet' or 'folder' for images of your own",
                    options.root.string(), kMarker));
  }
  return open_imagenet(options);
}

}  // namespace binade
