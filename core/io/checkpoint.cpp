// Checkpoints: the structure as JSON, the parameters as data sets.
#include "core/io/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/json_text.hpp"
#include "core/io/sealed_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

constexpr SealedKind kKind{.first_line = "Binade checkpoint", .noun = "checkpoint"};

std::string parameter_path(std::size_t i) {
  return fmt::format("/parameters/p{}", i);
}

void write_contents(const Model& model, const std::string& extra, Hdf5File& file) {
  file.write_text("/model", model_to_json(model));
  file.write_text("/extra", extra);
  const auto ids = model.graph.parameters();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Tensor<float>& tensor = model.graph.tensor(ids[i]);
    const Shape s = tensor.shape();
    const std::int64_t dims[] = {s.n, s.h, s.w, s.c};
    const auto finite = [](float v) { return std::isfinite(v); };
    if (!std::all_of(tensor.span().begin(), tensor.span().end(), finite)) {
      throw DataError(fmt::format("parameter '{}' holds NaN or Inf; did training diverge?", model.graph.name(ids[i])));
    }
    file.write<float>(parameter_path(i), tensor.span(), dims);
    file.set_attribute(parameter_path(i), "name", model.graph.name(ids[i]));
  }
}

void read_parameters(const Hdf5File& file, Graph& graph) {
  const auto ids = graph.parameters();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Tensor<float>& tensor = graph.tensor(ids[i]);
    const Shape s = tensor.shape();
    const H5Array<float> stored = file.read<float>(parameter_path(i), tensor.count());
    if (stored.dims != std::vector<std::int64_t>{s.n, s.h, s.w, s.c}) {
      throw DataError(fmt::format("parameter '{}' should be {}, the stored one has other extents", graph.name(ids[i]),
                                  to_string(s)));
    }
    for (std::size_t k = 0; k < stored.elements.size(); ++k) {
      if (std::isfinite(stored.elements[k])) continue;
      throw DataError(
          fmt::format("parameter '{}' holds NaN or Inf at index {}; did training diverge?", graph.name(ids[i]), k));
    }
    std::copy(stored.elements.begin(), stored.elements.end(), tensor.data());
  }
}

constexpr std::array<std::string_view, 2> kEndings{".h5", ".hdf5"};

}  // namespace

constinit const ModelFormat kCheckpointFormat{
    .name = "checkpoint",
    .summary = "a checkpoint of Binade, float or quantized",
    .endings = kEndings,
    .sniff = [](std::span<const std::byte> head) { return is_sealed(head, kKind); },
    .read =
        [](const fs::path& path, const ReadOptions& options) {
          if (options.any()) {
            throw UsageError(
                fmt::format("'{}' is a checkpoint: its output and the size of its input are fixed", path.string()));
          }
          return load_checkpoint(path).model;
        },
    .write = [](const Model& model, const fs::path& path) { save_checkpoint(model, path); },
    .file = "network.h5"};

void save_checkpoint(const Model& model, const fs::path& path, const std::string& extra) {
  save_sealed(path, kKind, [&](Hdf5File& file) { write_contents(model, extra, file); });
}

Checkpoint load_checkpoint(const fs::path& path) {
  const Hdf5File file = open_sealed(path, kKind);
  return with_context(fmt::format("reading the checkpoint {}", shown(path)), [&] {
    Checkpoint checkpoint{.model = model_from_json(file.read_text("/model")), .extra = file.read_text("/extra")};
    if (!is_flat_json(checkpoint.extra)) throw DataError("what is kept beside the model is nested too deeply");
    read_parameters(file, checkpoint.model.graph);
    return checkpoint;
  });
}

}  // namespace binade
