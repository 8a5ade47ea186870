// What ONNX Runtime is held against: qdq_reference NETWORK.h5 TARGET DATASET DATA IMAGES STEM quantizes nothing itself;
// it writes STEM.onnx (the network for the target, with QuantizeLinear and DequantizeLinear), STEM.input (images as the
// network takes them, float32, NCHW), STEM.output (what our integer engine makes of them) and STEM.json (extents, the
// step of the output's grid).
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/formats/formats.hpp"
#include "core/integer/engine.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/onnx_export.hpp"
#include "core/passes/apply_target.hpp"
#include "datasets/loader.hpp"

namespace {

using namespace binade;

/// {n, h, w, c} as [n, c, h, w].
void append_channels_first(View<const float> view, std::vector<float>& elements) {
  const Shape s = view.shape;
  for (int n = 0; n < s.n; ++n) {
    for (int c = 0; c < s.c; ++c) {
      for (std::int64_t p = 0; p < std::int64_t{s.h} * s.w; ++p)
        elements.push_back(view.data[(std::int64_t{n} * s.h * s.w + p) * s.c + c]);
    }
  }
}

void write(const std::string& path, const std::vector<float>& elements) {
  write_file_atomically(path, std::as_bytes(std::span(elements)));
}

void run(const std::vector<std::string>& words) {
  Model model = load_model(words[0]);
  const TargetProfile target = open_target(words[1]);
  model.graph = apply_target(model.graph, target);
  const std::string& stem = words[5];
  kOnnxQdqFormat.write(model, stem + ".onnx");
  const Lowered lowered = lower(model.graph, target);
  Engine engine(lowered.program);
  const Dataset all = open_dataset({.kind = words[2], .root = words[3], .split = "val"});
  LoadedImages images(choose_images(all, std::stoi(words[4]), 0), model.preprocessing);
  const Program& program = lowered.program;
  std::vector<std::byte> in(static_cast<std::size_t>(bytes_of(program.input)));
  std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)));
  Tensor<float> logits(program.output.shape);
  std::vector<float> inputs, outputs;
  for (int i = 0; i < images.count(); ++i) {
    const View<const float> image = images.images(i, 1);
    quantize_input(program, image, in);
    engine.run(in, out);
    dequantize_output(program, out, logits.view());
    append_channels_first(image, inputs);
    append_channels_first(static_cast<const Tensor<float>&>(logits).view(), outputs);
  }
  write(stem + ".input", inputs);
  write(stem + ".output", outputs);
  const Shape s = model.graph.shape(model.graph.inputs()[0]);
  write_file_atomically(
      stem + ".json",
      fmt::format(R"({{"images": {}, "input": [{}, {}, {}], "outputs": {}, "classes": {}, "step": {}}})",
                  images.count(), s.c, s.h, s.w, program.output.shape.count(), program.output.shape.c,
                  program.output.spec.step()));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 7) throw UsageError("usage: qdq_reference NETWORK.h5 TARGET DATASET DATA IMAGES STEM");
    run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
