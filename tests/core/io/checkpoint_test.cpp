// Checkpoints: what is read equals what was written, and nothing else is read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/op_json.hpp"
#include "core/models/models.hpp"
#include "tests/harness/zoo.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() : folder_(fs::temp_directory_path() / ("binade_checkpoint_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~CheckpointTest() override { fs::remove_all(folder_); }
  fs::path path() const { return folder_ / "model.h5"; }
  fs::path folder_;
};

/// Every kind of field: windows, enumerations, reals, flags, grids.
Model small_model() {
  Graph g;
  const ValueId x = g.input("image", {1, 8, 8, 3});
  Tensor<float> w(Shape{4, 3, 3, 3});
  Random random(3);
  for (float& v : w.span()) v = static_cast<float>(random.normal());
  const ValueId weight = g.parameter("conv/kernel:0", w);
  ValueId y = g.add("conv", Conv2d{.stride_h = 2, .stride_w = 2, .pad_bottom = 1, .pad_right = 1}, {x, weight});
  y = g.add("clip", Clip{.lo = -1.5, .hi = 0.1}, {y});
  y = g.add("quant", FakeQuant{.spec = {.frac = -3, .bits = 7, .is_signed = false}, .rounding = Rounding::half_even},
            {y});
  y = g.add("pool", AvgPool{.ceil_mode = true, .count_include_pad = true}, {y});
  y = g.add(
      "resize",
      Resize{.height = 5, .width = 6, .interpolation = Interpolation::nearest, .coordinates = Coordinates::asymmetric},
      {y});
  g.set_output(y);
  Model model{.name = "kleines \"Netz\" \xc3\xa4", .graph = std::move(g)};
  model.preprocessing.mean = {0.1, 1.0 / 3, 1e-17};
  model.preprocessing.color = Preprocessing::Color::bgr;
  model.task = Task::segmentation;
  model.classes = {"a", "b c"};
  model.notes = {{"source", "test"}, {"empty", ""}};
  return model;
}

void expect_equal(const Graph& a, const Graph& b) {
  ASSERT_EQ(a.values().size(), b.values().size());
  ASSERT_EQ(a.nodes().size(), b.nodes().size());
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    EXPECT_EQ(a.values()[i].name, b.values()[i].name);
    EXPECT_EQ(a.values()[i].shape, b.values()[i].shape);
    EXPECT_EQ(a.values()[i].kind, b.values()[i].kind);
    EXPECT_EQ(a.values()[i].node, b.values()[i].node);
    EXPECT_TRUE(a.values()[i].tensor == b.values()[i].tensor) << a.values()[i].name;
  }
  for (std::size_t i = 0; i < a.nodes().size(); ++i) {
    EXPECT_EQ(a.nodes()[i].name, b.nodes()[i].name);
    EXPECT_TRUE(a.nodes()[i].op == b.nodes()[i].op)
        << to_string(a.nodes()[i].op) << " and " << to_string(b.nodes()[i].op);
    EXPECT_EQ(a.nodes()[i].in, b.nodes()[i].in);
    EXPECT_EQ(a.nodes()[i].out, b.nodes()[i].out);
  }
  EXPECT_EQ(a.output(), b.output());
  EXPECT_EQ(a.inputs(), b.inputs());
}

TEST_F(CheckpointTest, EverythingComesBack) {
  const Model model = small_model();
  save_checkpoint(model, path(), "{\"epoch\": 3}");
  const Checkpoint read = load_checkpoint(path());
  expect_equal(model.graph, read.model.graph);
  EXPECT_EQ(read.extra, "{\"epoch\": 3}");
  EXPECT_EQ(read.model.name, model.name);
  EXPECT_EQ(read.model.preprocessing, model.preprocessing);
  EXPECT_EQ(read.model.task, model.task);
  EXPECT_EQ(read.model.classes, model.classes);
  EXPECT_EQ(read.model.notes, model.notes);
}

TEST_F(CheckpointTest, TheSameModelGivesTheSameBytes) {
  save_checkpoint(small_model(), path());
  const std::string first = sha256_file(path());
  save_checkpoint(small_model(), path());
  EXPECT_EQ(sha256_file(path()), first);
}

TEST_F(CheckpointTest, EveryNetworkOfTheZooComesBackWithTheSameOutputs) {
  for (const ModelEntry& entry : model_table()) {
    SCOPED_TRACE(entry.name);
    const Model model = build_model(entry.name, test::small_options(entry));
    save_checkpoint(model, path());
    const Model read = load_checkpoint(path()).model;
    expect_equal(model.graph, read.graph);
    EXPECT_EQ(read.preprocessing, model.preprocessing);
    EXPECT_EQ(read.task, model.task);
    Tensor<float> image(model.graph.shape(model.graph.inputs()[0]));
    Random random(1);
    for (float& v : image.span()) v = static_cast<float>(random.normal());
    Executor<float> before(model.graph), after(read.graph);
    const View<const float> a = before.forward(image.view()), b = after.forward(image.view());
    EXPECT_TRUE(std::equal(a.span().begin(), a.span().end(), b.span().begin()));
  }
}

TEST_F(CheckpointTest, EveryTruncationIsRefused) {
  save_checkpoint(small_model(), path());
  std::ifstream file(path(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const fs::path cut = folder_ / "cut.h5";
  for (std::size_t length = 0; length < bytes.size(); length += length < 1024 ? 13 : 101) {
    std::ofstream(cut, std::ios::binary) << bytes.substr(0, length);
    EXPECT_THROW(load_checkpoint(cut), DataError) << length;
  }
}

TEST_F(CheckpointTest, EveryChangedByteIsRefused) {
  save_checkpoint(small_model(), path());
  std::ifstream file(path(), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const fs::path changed = folder_ / "changed.h5";
  Random random(11);
  for (int i = 0; i < 600; ++i) {
    const auto at = static_cast<std::size_t>(random.below(bytes.size()));
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
    std::ofstream(changed, std::ios::binary) << damaged;
    EXPECT_THROW(load_checkpoint(changed), DataError) << at;
  }
}

/// The message that a model's description gives after `edit`; "" if it is accepted.
std::string refusal(const std::function<void(json&)>& edit) {
  json j = json::parse(model_to_json(small_model()));
  edit(j);
  try {
    model_from_json(j.dump());
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

json& node(json& j, const char* name) {
  for (json& value : j["graph"]["values"]) {
    if (value["name"] == name) return value;
  }
  throw std::logic_error("no such node");
}

TEST(ModelJson, FunctionsOfOneNumberComeBack) {
  for (const Op& op : {Op{Tanh{}}, Op{Elu{.alpha = 0.3}}, Op{Gelu{}}, Op{Gelu{.approximate = GeluForm::tanh}},
                       Op{Erf{}}, Op{Softplus{}}, Op{Mish{}}}) {
    EXPECT_EQ(op_from_json(op_to_json(op)), op) << to_string(op);
  }
}

TEST(ModelJson, RefusesWhatIsNoNetworkAndSaysWhy) {
  EXPECT_EQ(refusal([](json&) {}), "");
  const auto expect = [](const std::string& words, const std::function<void(json&)>& edit) {
    const std::string message = refusal(edit);
    EXPECT_NE(message.find(words), std::string::npos) << "got: " << message;
  };
  expect("newer version", [](json& j) { j["format"] = 2; });
  expect("did you mean 'Conv2d'?", [](json& j) { node(j, "conv")["op"] = "Conv2"; });
  expect("did you mean 'stride_h'?", [](json& j) { node(j, "conv")["fields"]["stride_x"] = 1; });
  expect("field 'stride_h': want an integer", [](json& j) { node(j, "conv")["fields"]["stride_h"] = 1.5; });
  expect("1099511627776 is absurd", [](json& j) { node(j, "conv")["fields"]["pad_top"] = 1LL << 40; });
  expect("reading node 'conv'", [](json& j) { node(j, "conv")["fields"]["stride_h"] = 0; });
  expect("are no grid", [](json& j) { node(j, "quant")["fields"]["spec"]["bits"] = 0; });
  expect("unknown word", [](json& j) { node(j, "quant")["fields"]["rounding"] = "up"; });
  expect("absurd shape", [](json& j) { node(j, "image")["shape"] = {1, 1 << 20, 1 << 20, 3}; });
  expect("used twice", [](json& j) { node(j, "clip")["name"] = "conv"; });
  expect("an input of node 'clip' is 99", [](json& j) { node(j, "clip")["in"][0] = 99; });
  expect("the kernel", [](json& j) { node(j, "conv/kernel:0")["shape"] = {4, 3, 3, 5}; });
  expect("the output does not depend on the image", [](json& j) { node(j, "pool")["in"][0] = 1; });
  expect("the output does not depend on the image", [](json& j) { j["graph"]["output"] = 1; });
  expect("the output is 77", [](json& j) { j["graph"]["output"] = 77; });
  expect("'graph' is missing", [](json& j) { j.erase("graph"); });
  expect("'clip' is of kind", [](json& j) {
    node(j, "clip") = {{"name", "clip"}, {"kind", "thing"}, {"shape", {1, 1, 1, 1}}};
  });
  expect("'kind' is 5, want text", [](json& j) { node(j, "conv/kernel:0")["kind"] = 5; });
  expect("'name' is a list, want text", [](json& j) { node(j, "clip")["name"] = json::array({1}); });
  expect("an input of node 'clip' is 18446744073709551615", [](json& j) { node(j, "clip")["in"][0] = UINT64_MAX; });
  expect("18446744073709551615 is absurd", [](json& j) { node(j, "conv")["fields"]["pad_top"] = UINT64_MAX; });
  expect("the task 'detection' is unknown", [](json& j) { j["task"] = "detection"; });
}

TEST(ModelJson, DeepAndEndlessTextsAreRefused) {
  const std::string deep(200'000, '['), close(200'000, ']');
  const auto message = [](const std::string& text) -> std::string {
    try {
      model_from_json(text);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("{\"format\": " + deep + close + "}").find("lists inside each other"), std::string::npos);
  std::string wide = "[0";
  for (int i = 0; i < (1 << 23); ++i) wide += ",0";
  EXPECT_NE(message(wide + "]").find("values"), std::string::npos);
  EXPECT_NE(message("[").find("is not JSON"), std::string::npos);
  EXPECT_NE(message("[1]").find("is no object"), std::string::npos);
}

TEST_F(CheckpointTest, DeepTextsBesideTheModelAreRefused) {
  save_checkpoint(small_model(), path(), std::string(200'000, '['));
  EXPECT_THROW(load_checkpoint(path()), DataError);
}

TEST(ModelJson, SurvivesRandomEdits) {
  const std::string text = model_to_json(small_model());
  Random random(5);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const auto at = static_cast<std::size_t>(random.below(damaged.size()));
      if (random.below(3) == 0)
        damaged.erase(at, static_cast<std::size_t>(random.below(20)));
      else
        damaged[at] = "0123456789-[]{}\",.eE:tn"[random.below(23)];
    }
    try {
      model_from_json(damaged);
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
}

TEST_F(CheckpointTest, AParameterThatIsNotFiniteIsNamed) {
  Model model = small_model();
  ValueId id;
  ASSERT_TRUE(model.graph.find("conv/kernel:0", id));
  model.graph.tensor(id)[7] = std::numeric_limits<float>::quiet_NaN();
  try {
    save_checkpoint(model, path());
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("'conv/kernel:0' holds NaN"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_TRUE(fs::is_empty(folder_)) << "a temporary was left behind";
}

TEST_F(CheckpointTest, OtherFilesAreRefusedByName) {
  std::ofstream(path()) << "hello";
  const auto message = [&](const fs::path& file) -> std::string {
    try {
      load_checkpoint(file);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message(path()).find("is not a checkpoint"), std::string::npos);
  EXPECT_NE(message(folder_).find("is a folder"), std::string::npos);
  EXPECT_NE(message(folder_ / "none.h5").find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace binade
