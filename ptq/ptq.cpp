// The table of passes, the presets and the loop that runs them.
#include "ptq/ptq.hpp"

#include <array>
#include <chrono>

#include "calibration/find_row.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

Graph run_fold_batch_norm(const Graph& graph, PassContext&) {
  // Dropout is an identity in inference; the passes run gradients, where it would not be.
  const Graph plain = rewrite(graph, [](Rewriter& to, const Node& node) {
    if (role_of(node.op) == Role::regularizer) return to.replace(node.out, to(node.in[0]));
    to.copy(node);
  });
  return fold_batch_norm(plain);
}

Rounding rounding_named(const std::string& name) {
  const std::optional<Rounding> rounding = rounding_of_name(name);
  if (!rounding) throw UsageError(unknown_name("rounding", name, kRoundingNames));
  return *rounding;
}

PtqOptions simple(int weight_bits, int activation_bits) {
  return {.weight_bits = weight_bits,
          .activation_bits = activation_bits,
          .range = "min_max",
          .weight_range = "min_max",
          .passes = {"fold_batch_norm", "quantize"}};
}

/// One list for all widths: each pass treats a tensor by the tensor's own.
PtqOptions best(int weight_bits, int activation_bits) {
  return {.weight_bits = weight_bits,
          .activation_bits = activation_bits,
          .passes = {"fold_batch_norm", "rescale_channels", "quantize", "search_exponents", "round_weights",
                     "correct_bias"}};
}

/// TI's settings [docs/ti.md 1, 3]: 8-bit biases on a grid of their own, ranges by percentile, weights by maximum.
/// The bias correction is exact where TI's goes there in steps of 5 %.
PtqOptions tidl(int weight_bits, int activation_bits) {
  return {.weight_bits = weight_bits,
          .activation_bits = activation_bits,
          .bias_bits = weight_bits > 8 ? 32 : 8,
          .range = "percentile",
          .weight_range = "min_max",
          .passes = {"fold_batch_norm", "clip_weights", "quantize", "correct_bias"}};
}

/// @throws UsageError for an unknown pass, and for an exact one that would take an inexact one's result for the network
/// to come close to
std::vector<const Pass*> passes_named(const std::vector<std::string>& names, std::span<const Pass> extra) {
  std::vector<const Pass*> passes;
  for (const std::string& name : names) {
    const Pass& pass = find_row<Pass>("pass", name, {pass_table(), extra});
    if (pass.is_exact && !passes.empty() && !passes.back()->is_exact) {
      throw UsageError("pass '" + name + "' stands after '" + std::string(passes.back()->name) +
                       "': it rewrites the float network, so it must come before what departs from that");
    }
    passes.push_back(&pass);
  }
  return passes;
}

constexpr std::array kPresets{PtqPreset{"simple", simple}, PtqPreset{"best", best}, PtqPreset{"tidl", tidl}};

}  // namespace

std::span<const Pass> pass_table() {
  static constexpr std::array table{
      Pass{"fold_batch_norm", "batch norm into weights", run_fold_batch_norm, true},
      Pass{"uncap_relu", "TI: ReLU6 becomes ReLU, bounded by the end of its grid only", uncap_activations},
      Pass{"rescale_channels", "factors per channel for the least noise at the output", rescale_channels, true},
      Pass{"clip_weights", "TI: clamp weights that are 16 times their median", clip_weights},
      Pass{"quantize", "insert quantizers on the ranges that the estimators choose", quantize},
      Pass{"search_exponents", "exponents by their cost at the output", search_exponents},
      Pass{"round_weights", "round weights against the float outputs, layer by layer", round_weights},
      Pass{"correct_bias", "make the mean of every layer's output right again", correct_bias},
  };
  return table;
}

std::span<const PtqPreset> ptq_presets() {
  return kPresets;
}

PtqOptions ptq_preset(const std::string& name, int weight_bits, int activation_bits) {
  return find_by_name<PtqPreset>("preset", name, kPresets).make(weight_bits, activation_bits);
}

PtqResult post_training_quantize(const Graph& graph, ImageSource& images, const PtqOptions& options,
                                 const std::function<void(const std::string&, int, int)>& on_pass) {
  return post_training_quantize(graph, images, options, PtqExtensions{}, on_pass);
}

PtqResult post_training_quantize(const Graph& graph, ImageSource& images, const PtqOptions& options,
                                 const PtqExtensions& extensions,
                                 const std::function<void(const std::string&, int, int)>& on_pass) {
  const std::vector<const Pass*> passes = passes_named(options.passes, extensions.passes);
  nlohmann::json log = nlohmann::json::array();
  nlohmann::json entry;
  PassContext context{.images = images,
                      .options = options,
                      .report = entry,
                      .reference = graph,
                      .quantizers = {.weights = rounding_named(options.weight_rounding),
                                     .biases = rounding_named(options.weight_rounding),
                                     .activations = rounding_named(options.activation_rounding),
                                     .bias_bits = options.bias_bits},
                      .estimators = extensions.estimators};
  Graph current = graph;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    if (on_pass) on_pass(options.passes[i], static_cast<int>(i), static_cast<int>(passes.size()));
    entry = nlohmann::json::object();
    const auto start = std::chrono::steady_clock::now();
    current = passes[i]->run(current, context);
    if (passes[i]->is_exact) context.reference = current;
    entry["pass"] = options.passes[i];
    entry["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log.push_back(entry);
  }
  return {.quantized = std::move(current),
          .reference = std::move(context.reference),
          .report = {{"passes", std::move(log)}}};
}

}  // namespace binade
