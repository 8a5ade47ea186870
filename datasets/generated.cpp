// The generated set in ImageNet's layout: what its files are called and what is in them.
#include "datasets/generated.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "datasets/dataset.hpp"
#include "datasets/drawn_set.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

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
  write_drawn_text(folder / "synsets.txt", synsets);
  write_drawn_text(folder / "labels.csv", labels);
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
        write_drawn_image(folder / name_of(o, is_train, image),
                          draw_generated(image % o.classes, o.size, o.difficulty, Random(o.seed, stream)));
      }
    });
    if (progress) progress(first + count, total);
  }
  write_lists(folder, o);
}

}  // namespace

bool generate_images(const fs::path& root, const GeneratedOptions& options,
                     const std::function<void(int done, int total)>& progress) {
  check(options);
  return make_drawn_set(root, describe(options), [&](const fs::path& folder) { write_all(folder, options, progress); });
}

Dataset open_generated(const DatasetOptions& options) {
  const fs::path above = fs::absolute(options.root / "").lexically_normal().parent_path().parent_path();
  if (!fs::exists(options.root / kDrawnMarker) && !fs::exists(above / kDrawnMarker)) {
    throw DataError(
        fmt::format("'{}' holds no finished generated set (no {}); generate it first, or use the kind "
                    "'imagenet' or 'folder' for images of your own",
                    options.root.string(), kDrawnMarker));
  }
  return open_imagenet(options);
}

}  // namespace binade
