// Opens parts of folders; draws the sets that can be drawn.
#include "datasets/source.hpp"

#include <array>
#include <utility>

namespace binade {
namespace {

namespace fs = std::filesystem;

/// What the draw functions call after every image.
auto counted(Progress& progress) {
  return [&progress, before = 0](int done, int) mutable { progress.advance(done - std::exchange(before, done)); };
}

}  // namespace

Dataset open_part(const DatasetSource& source, const fs::path& root, const std::string& split,
                  const JobControl& control) {
  if (source.kind == "generated" && !fs::exists(root)) {
    Progress progress(control, "generate images", source.generated.train + source.generated.val, "images");
    generate_images(root, source.generated, counted(progress));
  }
  if (source.kind == "generated-streets" && !fs::exists(root)) {
    Progress progress(control, "draw streets", source.streets.train + source.streets.val, "scenes");
    generate_streets(root, source.streets, counted(progress));
  }
  return open_dataset({.kind = source.kind, .root = root, .split = split, .allow_outside = source.allow_outside});
}

bool has_training_part(const DatasetSource& source, const fs::path& root) {
  if (source.kind.starts_with("generated")) return true;
  constexpr std::array kLayouts{"train", "train.txt", "leftImg8bit/train"};
  for (const char* name : kLayouts) {
    if (fs::exists(root / name)) return true;
  }
  return false;
}

}  // namespace binade
