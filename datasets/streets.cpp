// The generated streets in Cityscapes' layout: what their files are called and what is in them.
#include "datasets/streets.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "datasets/dataset.hpp"
#include "datasets/drawn_set.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

/// Raised whenever the same options would make other images.
constexpr int kGeneration = 1;

nlohmann::json describe(const StreetOptions& o) {
  return {{"streets", kGeneration},    {"train", o.train}, {"val", o.val},
          {"height", o.height},        {"width", o.width}, {"seed", o.seed},
          {"difficulty", o.difficulty}};
}

void check(const StreetOptions& o) {
  if (o.train < 0 || o.val < 0 || o.train + o.val < 1) {
    throw UsageError(fmt::format("{} training and {} validation scenes; wanted at least one", o.train, o.val));
  }
  if (o.height < 32 || o.height > 2048 || o.width < 32 || o.width > 2048) {
    throw UsageError(fmt::format("generated streets of {}x{} pixels; wanted 32 to 2048", o.height, o.width));
  }
  if (!(o.difficulty >= 0 && o.difficulty <= 3)) {
    throw UsageError(fmt::format("difficulty {}; wanted 0 to 3", o.difficulty));
  }
}

void write_scene(const fs::path& folder, const StreetOptions& o, int scene) {
  const bool is_train = scene < o.train;
  const int number = is_train ? scene : scene - o.train;
  const std::string part = fmt::format("{}/streets", is_train ? "train" : "val");
  const auto stream = static_cast<std::uint64_t>(number) * 2 + (is_train ? 0 : 1);
  const LabelledPixels drawn = draw_street(o.height, o.width, o.difficulty, Random(o.seed, stream));
  const std::string name = fmt::format("streets_{:06d}_000000", number);
  write_drawn_image(folder / "leftImg8bit" / part / (name + "_leftImg8bit.png"), drawn.image);
  write_drawn_image(folder / "gtFine" / part / (name + "_gtFine_labelIds.png"), drawn.labels);
}

}  // namespace

bool generate_streets(const fs::path& root, const StreetOptions& options,
                      const std::function<void(int done, int total)>& progress) {
  check(options);
  return make_drawn_set(root, describe(options), [&](const fs::path& folder) {
    std::error_code error;
    for (const char* kind : {"leftImg8bit", "gtFine"}) {
      for (const char* part : {"train", "val"}) {
        if (!error) fs::create_directories(folder / kind / part / "streets", error);
      }
    }
    if (error) throw DataError(fmt::format("cannot make the folder '{}': {}", folder.string(), error.message()));
    const int total = options.train + options.val;
    constexpr int kStep = 64;  // scenes between two reports of progress
    for (int first = 0; first < total; first += kStep) {
      const int count = std::min(kStep, total - first);
      parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) write_scene(folder, options, first + static_cast<int>(i));
      });
      if (progress) progress(first + count, total);
    }
  });
}

Dataset open_generated_streets(const DatasetOptions& options) {
  if (!fs::exists(options.root / kDrawnMarker)) {
    throw DataError(
        fmt::format("'{}' holds no finished set of generated streets (no {}); generate it first, or use the "
                    "kind 'cityscapes' for images of your own",
                    options.root.string(), kDrawnMarker));
  }
  return open_cityscapes(options);
}

}  // namespace binade
