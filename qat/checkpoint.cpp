// Optimizer tensors travel as parameters that no node reads, the rest as JSON text beside the model.
#include "qat/checkpoint.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"

namespace binade {
namespace {

using nlohmann::json;

/// Without the speed: equal runs give equal files. It is kept in metrics.csv (take_speeds).
json to_json(const MetricsRow& row) {
  json line = {row.epoch, row.step, row.loss, row.learning_rate, 0.0, nullptr};
  if (row.validation) line[5] = *row.validation;
  return line;
}

MetricsRow row_from_json(const json& line) {
  MetricsRow row{.epoch = line.at(0).get<int>(),
                 .step = line.at(1).get<std::int64_t>(),
                 .loss = line.at(2).get<double>(),
                 .learning_rate = line.at(3).get<double>(),
                 .images_per_second = line.at(4).get<double>(),
                 .validation = {}};
  if (!line.at(5).is_null()) row.validation = line.at(5).get<double>();
  return row;
}

}  // namespace

void save_training(const Model& model, const TrainCheckpoint& checkpoint, const std::filesystem::path& path) {
  json training{{"step", checkpoint.trainer.step},
                {"epochs_done", checkpoint.epochs_done},
                {"settings", checkpoint.settings},
                {"metrics", json::array()},
                {"row_loss", checkpoint.row_loss},
                {"row_steps", checkpoint.row_steps},
                {"observer", checkpoint.trainer.observer.text},
                {"tensors", json::array()},
                {"observer_tensors", json::array()}};
  for (const MetricsRow& row : checkpoint.metrics) training["metrics"].push_back(to_json(row));
  Model saved = model;
  saved.graph = checkpoint.network;
  const auto keep = [&](const std::map<std::string, Tensor<float>>& tensors, const char* key) {
    for (const auto& [name, tensor] : tensors) {
      saved.graph.parameter(name, tensor);
      training[key].push_back(name);
    }
  };
  keep(checkpoint.trainer.tensors, "tensors");
  keep(checkpoint.trainer.observer.tensors, "observer_tensors");
  save_checkpoint(saved, path, json{{"training", training}}.dump());
}

SavedTraining load_training(const std::filesystem::path& path) {
  Checkpoint file = load_checkpoint(path);
  SavedTraining saved{.model = std::move(file.model), .checkpoint = {}};
  const Graph& graph = saved.model.graph;
  TrainCheckpoint& checkpoint = saved.checkpoint;
  try {
    const json training = json::parse(file.extra).at("training");
    checkpoint.trainer.step = training.at("step").get<std::int64_t>();
    checkpoint.epochs_done = training.at("epochs_done").get<int>();
    checkpoint.settings = training.at("settings").get<std::map<std::string, std::string>>();
    for (const json& row : training.at("metrics")) checkpoint.metrics.push_back(row_from_json(row));
    checkpoint.row_loss = training.at("row_loss").get<double>();
    checkpoint.row_steps = training.at("row_steps").get<int>();
    checkpoint.trainer.observer.text = training.at("observer").get<std::string>();
    const auto take = [&](const char* key, std::map<std::string, Tensor<float>>& tensors) {
      for (const json& entry : training.at(key)) {
        const auto name = entry.get<std::string>();
        ValueId id{};
        if (!graph.find(name, id) || !graph.is_parameter(id)) throw DataError("the tensor '" + name + "' is missing");
        tensors.emplace(name, graph.tensor(id));
      }
    };
    take("tensors", checkpoint.trainer.tensors);
    take("observer_tensors", checkpoint.trainer.observer.tensors);
  } catch (const json::exception& error) {
    throw DataError(fmt::format("{}: no training state to resume from ({}); it may be a finished model", path.string(),
                                error.what()));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", path.string(), error.what()));
  }
  // What no node reads is left out: the optimizer's tensors.
  checkpoint.network = rewrite(graph, [](Rewriter& to, const Node& node) { to.copy(node); });
  saved.model.graph = checkpoint.network;
  return saved;
}

}  // namespace binade
