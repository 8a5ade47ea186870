// Lowered networks are what they were: hashes of their programs, so that a refactor that changes one is seen.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "core/formats/formats.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/zoo.hpp"

namespace binade {
namespace {

/// Grids that depend on nothing but the graph: activations in [-8, 8) or [0, 16), weights by their maximum.
Graph quantize_by_rule(const Graph& graph, int bits) {
  SpecMap specs;
  for (const ValueId id : quantized_values(graph)) {
    const Node* node = graph.producer(id);
    const bool positive =
        node != nullptr && (std::holds_alternative<Relu>(node->op) ||
                            (std::holds_alternative<Clip>(node->op) && std::get<Clip>(node->op).lo >= 0));
    specs[graph.name(id)] = spec_for_clip(positive ? 16 : 8, bits, !positive);
  }
  for (const ValueId id : quantized_weights(graph)) {
    double largest = 0;
    for (const float w : graph.tensor(id).span()) largest = std::max(largest, std::abs(static_cast<double>(w)));
    specs[graph.name(id)] = spec_for_clip(largest, bits, true);
  }
  return insert_quantizers(graph, specs, {});
}

/// "name bits hash" per line.
std::map<std::string, std::string> recorded() {
  std::ifstream file(testing_tools::source_dir() / "tests/golden/programs.txt");
  std::map<std::string, std::string> hashes;
  for (std::string name, bits, hash; file >> name >> bits >> hash;) hashes[name + " " + bits] = hash;
  return hashes;
}

void expect_recorded(const std::string& name, const Graph& network) {
  static const std::map<std::string, std::string> kRecorded = recorded();
  const Graph folded = fold_batch_norm(network);
  for (const int bits : {8, 16}) {
    const std::string key = name + " " + std::to_string(bits);
    const std::string hash = program_hash(lower(quantize_by_rule(folded, bits), {}).program);
    const auto known = kRecorded.find(key);
    EXPECT_TRUE(known != kRecorded.end() && known->second == hash)
        << "tests/golden/programs.txt: the program of this line changed, or is new; if that is meant, it is now\n"
        << key << " " << hash;
  }
}

TEST(GoldenPrograms, OfTheZoo) {
  for (const ModelEntry& entry : model_table()) {
    expect_recorded(std::string(entry.name), build_graph(entry, test::narrow_options(entry)));
  }
}

TEST(GoldenPrograms, OfRealNetworks) {
  const std::filesystem::path folder = testing_tools::shared_data() / "weights";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no folder " << folder;
  for (const char* name : {"mobilenet_v2_1.0_224_torchvision", "resnet20_cifar10", "squeezenet1.1_gluon",
                           "espnet_p2_q8_camvid", "mlperf_tiny_kws_dscnn"}) {
    expect_recorded(name, load_model((folder / (std::string(name) + ".onnx")).string()).graph);
  }
}

}  // namespace
}  // namespace binade
