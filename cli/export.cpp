// export: a network in a form that other tools read.
#include <array>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/io/onnx_export.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

/// What the network becomes, as a file in the folder.
struct ExportFormat {
  std::string_view name, summary;
  std::string_view file;
  void (*write)(const Model& model, const std::filesystem::path& path);
};

void write_onnx(const Model& model, const std::filesystem::path& path) {
  if (is_quantized(model.graph)) {
    throw UsageError("--format onnx is the float network; this one is quantized: export the one it was made from");
  }
  export_onnx(model, path);
}

constexpr std::array<ExportFormat, 1> kFormats{
    {{"onnx", "the float network as ONNX, batch norm unfolded", "network.onnx", write_onnx}}};

}  // namespace

int run_export(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  OutputFlags output;
  std::string format = "onnx";
  CommandLine flags("export");
  bind(flags, network);
  flags.section("Output");
  flags.add("format", format, "of the file", {.choices = names_of(kFormats)});
  flags.add("out", output.out, "folder for the file; created, and left alone if it holds anything");
  flags.add("force", output.force, "overwrite what is in --out");
  if (!flags.read(arguments)) return kDone;
  if (output.out.empty()) throw UsageError("--out is missing: wanted is the folder for the file");

  const ExportFormat& chosen = find_by_name("format", format, std::span<const ExportFormat>(kFormats));
  const Model model = open_network(network);
  const OutputFolder out(output);
  const std::filesystem::path path = out.file(std::string(chosen.file));
  chosen.write(model, path);
  fmt::print("{}\n", path.string());
  return kDone;
}

}  // namespace binade
