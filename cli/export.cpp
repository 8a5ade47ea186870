// export: a network in a form that other tools read.
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/formats/formats.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

/// The rows of the table that can be written.
std::vector<ModelFormat> written_formats() {
  std::vector<ModelFormat> formats;
  for (const ModelFormat& format : model_formats()) {
    if (format.write != nullptr) formats.push_back(format);
  }
  return formats;
}

}  // namespace

int run_export(const std::vector<std::string>& arguments) {
  NetworkSource network;
  OutputFlags output;
  std::string format = "onnx", target;
  const std::vector<ModelFormat> formats = written_formats();
  CommandLine flags("export");
  bind(flags, network);
  bind_target(flags, target);
  flags.section("Output");
  flags.add("format", format, "of the file", {.choices = names_of(formats)});
  flags.add("out", output.out, "folder for the file; created, and left alone if it holds anything");
  flags.add("force", output.force, "overwrite what is in --out");
  if (!flags.read(arguments)) return kDone;
  if (output.out.empty()) throw UsageError("--out is missing: wanted is the folder for the file");

  const ModelFormat& chosen = find_by_name("format", format, std::span<const ModelFormat>(formats));
  Model model = open_network(network);
  if (is_quantized(model.graph)) model.graph = apply_target(model.graph, open_target(target_of(model, target)));
  const OutputFolder out(output);
  const std::filesystem::path path = out.file(std::string(chosen.file));
  chosen.write(model, path);
  fmt::print("{}\n", path.string());
  return kDone;
}

}  // namespace binade
