// One quantization, with or without its cost in accuracy.
#include "experiment/quantize.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/apply_target.hpp"

namespace binade {

Method method_of(const std::string& kind, int weight_bits, int activation_bits) {
  return parse_method(fmt::format("{}-w{}a{}", kind, weight_bits, activation_bits));
}

std::string quantization_note(const std::string& method, const std::vector<LayerWidth>& layers) {
  return layers.empty() ? method : fmt::format("{}, {}", method, to_string(layers));
}

QuantizeResult run_quantization(const TableJob& job, const Method& method,
                                const std::function<Quantization(const Graph&, ImageSource&)>& quantize,
                                const JobControl& control) {
  QuantizeResult result{.model = open_network(job.network), .table = {}, .quantization = {}};
  if (job.data.data.empty()) {
    const Dataset all = open_calibration_data(job.data, result.model, control);
    const auto images =
        read_images("read calibration images", chosen_calibration(all, job.data, 0), job.data, result.model, control);
    result.quantization = quantize(result.model.graph, *images);
    std::vector<std::string> notes;
    note_bad_images("calibration", images->bad(), notes);
    if (!notes.empty()) result.quantization.report["notes"] = notes;
    result.quantization.report["target"] = job.target.name;
    result.model.graph = apply_target(result.quantization.graph, job.target);
  } else {
    TableJob rows = job;
    rows.methods = {"float", method.name};
    result.table = run(rows, control);
    if (!result.table->report.failed.empty()) throw DataError(result.table->report.failed.front().reason);
    result.model.graph = std::move(result.table->networks.at(method.name));
  }
  result.model.notes["quantization"] = quantization_note(method.name, job.layer_bits);
  result.model.notes["target"] = job.target.name;
  return result;
}

}  // namespace binade
