// What a network of the zoo computes, beside its ONNX file: onnx_reference MODEL FOLDER writes MODEL.onnx, MODEL.input
// and MODEL.output (float32, in ONNX's order), which bench/compare_onnx.js holds against ONNX Runtime.
//
// Batch norms get statistics of their own, as those of a fresh network would hide what they do.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/onnx_export.hpp"
#include "core/models/models.hpp"

namespace {

using namespace binade;

void draw_norms(Graph& graph) {
  Random random(7);
  const auto draw = [&](ValueId id, double middle, double spread) {
    for (float& x : graph.tensor(id).span()) x = static_cast<float>(middle + spread * random.normal());
  };
  for (const Node& node : graph.nodes()) {
    if (!std::holds_alternative<BatchNorm>(node.op)) continue;
    draw(node.in[1], 1, 0.1);
    draw(node.in[2], 0, 0.3);
    draw(node.in[3], 0, 0.2);
    for (float& x : graph.tensor(node.in[4]).span()) x = static_cast<float>(std::exp(0.5 * random.normal()));
  }
}

/// {n, h, w, c} as [n, c, h, w].
std::vector<float> channels_first(View<const float> view) {
  const Shape s = view.shape;
  std::vector<float> elements;
  for (int n = 0; n < s.n; ++n) {
    for (int c = 0; c < s.c; ++c) {
      for (std::int64_t p = 0; p < std::int64_t{s.h} * s.w; ++p)
        elements.push_back(view.data[(std::int64_t{n} * s.h * s.w + p) * s.c + c]);
    }
  }
  return elements;
}

void write(const std::filesystem::path& path, View<const float> view) {
  const std::vector<float> elements = channels_first(view);
  write_file_atomically(path, std::as_bytes(std::span(elements)));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw UsageError("usage: onnx_reference MODEL FOLDER");
    Model model = build_model(argv[1]);
    draw_norms(model.graph);
    const std::filesystem::path stem = std::filesystem::path(argv[2]) / argv[1];
    export_onnx(model, stem.string() + ".onnx");
    Tensor<float> images(model.graph.shape(model.graph.inputs()[0]).with_batch(2));
    Random random(1);
    for (float& x : images.span()) x = static_cast<float>(random.normal());
    Executor<float> executor(model.graph);
    write(stem.string() + ".input", images.view());
    write(stem.string() + ".output", executor.forward(images.view()));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
