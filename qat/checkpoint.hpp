// A training run on disk: a model checkpoint that also holds the optimizer's tensors, the position and the metrics.
#pragma once

#include <filesystem>

#include "core/model/model.hpp"
#include "qat/train.hpp"

namespace binade {

/// Writes in one step; the file is a model checkpoint too, of the network at that point. Of `model` everything but the
/// graph is kept; the graph is the checkpoint's. @throws DataError as save_checkpoint
void save_training(const Model& model, const TrainCheckpoint& checkpoint, const std::filesystem::path& path);

struct SavedTraining {
  Model model;  ///< with the network at that point
  TrainCheckpoint checkpoint;
};

/// @throws DataError as load_checkpoint, or if the file holds a model without a training state
SavedTraining load_training(const std::filesystem::path& path);

}  // namespace binade
