// A folder of images by its layout: one part of it is opened, and a generated set is drawn when the folder is missing.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/progress.hpp"
#include "datasets/dataset.hpp"
#include "datasets/generated.hpp"
#include "datasets/streets.hpp"

namespace binade {

/// Where images are and how they lie there; for generated sets also what is drawn.
struct DatasetSource {
  std::string kind = "imagenet";  ///< a name of dataset_kinds()
  bool allow_outside = false;     ///< lists of images may name files outside of the folder
  GeneratedOptions generated;
  StreetOptions streets;
};

/// One part, "train" or "val", of the folder. @throws as open_dataset
Dataset open_part(const DatasetSource& source, const std::filesystem::path& root, const std::string& split,
                  const JobControl& control = {});

/// True if the folder has, or will have once it is drawn, training images of its own.
bool has_training_part(const DatasetSource& source, const std::filesystem::path& root);

}  // namespace binade
