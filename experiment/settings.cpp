// Reads what an earlier part of a training left.
#include "experiment/settings.hpp"

#include "core/io/read_file.hpp"
#include "qat/metrics.hpp"

namespace binade {

namespace fs = std::filesystem;

std::optional<SavedTraining> saved_training(const fs::path& checkpoint) {
  if (!fs::exists(checkpoint)) return {};
  SavedTraining saved = load_training(checkpoint);
  const fs::path metrics = checkpoint.parent_path() / "metrics.csv";
  if (fs::exists(metrics)) {
    const std::vector<std::byte> csv = read_whole_file(metrics, "the metrics of a training");
    take_speeds(saved.checkpoint.metrics, {reinterpret_cast<const char*>(csv.data()), csv.size()});
  }
  return saved;
}

}  // namespace binade
