// Options and progress of calibrations.
#include "cli/calibrate_run.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/base/progress.hpp"

namespace binade {

CalibrateOptions calibrate_options(const Method& method, const CalibrateFlags& calibrate, const Flags& flags,
                                   std::uint64_t seed) {
  CalibrateOptions options = calibrate_preset(calibrate.preset, method.weight_bits, method.activation_bits);
  options.seed = seed;
  options.layer_bits = layer_bits_of(flags);
  Flags overlay;
  bind(overlay, options);
  flags.apply_to(overlay);
  return options;
}

CalibrateResult calibrate_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                        const CalibrateOptions& options) {
  const int passes = options.iterations > 0 ? options.iterations * options.batch : images.count();
  Progress progress("calibrate " + name, passes, "images");
  int before = 0;
  return calibrate(graph, images, options, [&](const std::string& stage, int done, int) {
    progress.note(stage);
    progress.advance(done - std::exchange(before, done));
  });
}

std::string speed_text(const std::string& name, const nlohmann::json& report) {
  return fmt::format("{}: {} images in {:.1f} s, {:.1f} images/s", name, report["images"].get<int>(),
                     report["seconds"].get<double>(), report["images_per_second"].get<double>());
}

}  // namespace binade
