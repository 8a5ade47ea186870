// Puts a program to the test on images.
#include "experiment/verify.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/io/program_file.hpp"
#include "experiment/integer.hpp"

namespace binade {
namespace {

/// The program that is put to the test: freshly lowered, or a file's.
Program program_to_check(const std::filesystem::path& file, const Lowered& lowered) {
  if (file.empty()) return lowered.program;
  Program program = load_program(file);
  if (program.code.size() != lowered.program.code.size()) {
    throw DataError(
        fmt::format("'{}' has {} instructions, the network for target '{}' has {}: not of this network, or "
                    "for another target",
                    file.string(), program.code.size(), lowered.program.target, lowered.program.code.size()));
  }
  return program;
}

/// The bounds of the program itself: its weights need not be those of a fresh one.
void take_bounds(Lowered& lowered) {
  for (LayerBounds& layer : lowered.layers) {
    const auto* conv =
        std::get_if<ConvInstr>(&lowered.program.code[static_cast<std::size_t>(layer.instruction)].operation);
    if (conv == nullptr) {
      throw DataError(fmt::format("instruction {} of the program is not layer '{}' of the network: not of this network",
                                  layer.instruction, layer.name));
    }
    const LayerBounds own = bounds_of(*conv);
    layer.acc_bound = own.acc_bound;
    layer.acc_bits = own.acc_bits;
    layer.shift = own.shift;
    layer.fp32_exact = own.fp32_exact;
    layer.fits = own.acc_bits <= lowered.program.accumulator_bits;
  }
}

}  // namespace

VerifyResult run(const VerifyJob& job, const JobControl& control) {
  const Model model = open_network(job.network);
  TargetNetwork network = for_target(model, job.target ? job.target(model) : TargetProfile{});
  network.lowered.program = program_to_check(job.program, network.lowered);
  const Program& program = network.lowered.program;
  if (!job.program.empty()) take_bounds(network.lowered);
  const Dataset dataset = open_images(job.data, model, control);
  const auto images = read_images("read images", dataset, job.data, model, control);

  IntegerVerifier verifier(network.graph, program);
  Progress progress(control, "verify", images->count(), "images");
  const int step = job.batch > 0 ? job.batch : thread_count();
  for (int first = 0; first < images->count(); first += step) {
    const int n = std::min(step, images->count() - first);
    verifier.check(images->images(first, n));
    progress.advance(n);
  }
  VerifyResult result{.model = model.name, .checked = {}, .found = verifier.result(), .description = {}, .notes = {}};
  result.description = describe_program(network.lowered, Engine(program));
  note_bad_images("verification", images->bad(), result.notes);
  result.checked = std::move(network.lowered);
  return result;
}

}  // namespace binade
