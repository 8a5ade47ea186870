// The table of readers; seeds are made here, so that nothing has to be kept.
#include "tests/fuzz/readers.hpp"

#include <array>
#include <fstream>

#include <opencv2/imgcodecs.hpp>

#include "cli/target.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/integer/engine.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/onnx_import.hpp"
#include "core/io/program_file.hpp"
#include "core/models/models.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions_file.hpp"
#include "datasets/dataset.hpp"
#include "datasets/label_list.hpp"
#include "datasets/label_map.hpp"
#include "datasets/transforms.hpp"
#include "tests/harness/onnx_builder.hpp"
#include "tests/harness/random_program.hpp"
#include "tests/harness/sealing.hpp"

namespace binade::fuzz {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

fs::path write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

/// A sealed file whose seal is made valid in seven of eight cases: otherwise the reader would refuse all at once.
fs::path write_sealed(const fs::path& path, const std::string& bytes) {
  const bool keep = !bytes.empty() && static_cast<unsigned char>(bytes.back()) % 8 == 7;
  return write(path, keep ? bytes : testing_tools::resealed(bytes));
}

std::string file_made_by(const std::function<void(const fs::path&)>& make) {
  const fs::path path = fs::temp_directory_path() / ("binade_fuzz_seed_" + std::to_string(::getpid()));
  make(path);
  std::string bytes = testing_tools::bytes_of(path.string());
  fs::remove(path);
  return bytes;
}

std::vector<std::string> numbers() {
  return {"0",
          "-1",
          "1",
          "2",
          "7",
          "8",
          "16",
          "31",
          "32",
          "63",
          "64",
          "127",
          "255",
          "256",
          "65535",
          "65536",
          "16777216",
          "2147483647",
          "-2147483648",
          "4294967296",
          "9223372036854775807",
          "18446744073709551615",
          "1e308",
          "-1e-308",
          "1e999",
          "0.5"};
}

std::vector<std::string> json_words() {
  std::vector<std::string> words = numbers();
  for (const char* word :
       {"null",     "true",   "false",    "\"\"",   "[]", "{}",           "[",         "]",
        "{",        "}",      ",",        ":",      "\"", "\"kind\": 5,", "\"input\"", "\"parameter\"",
        "\"name\"", "\"op\"", "[[[[[[[[", "\\u0000"}) {
    words.emplace_back(word);
  }
  return words;
}

// Networks ------------------------------------------------------------------------------------------------------------

Model small_model() {
  Graph g;
  const ValueId x = g.input("image", {1, 8, 8, 3});
  Random random(3);
  const auto tensor = [&](Shape shape) {
    Tensor<float> t(shape);
    for (float& v : t.span()) v = static_cast<float>(random.normal());
    return t;
  };
  const ValueId first = g.parameter("stem/w", tensor({4, 3, 3, 3}));
  ValueId y = g.add("stem", Conv2d{.stride_h = 2, .stride_w = 2, .pad_bottom = 1, .pad_right = 1}, {x, first});
  y = g.add("relu", Relu{}, {y});
  y = g.add("quant", FakeQuant{.spec = {.frac = 3, .bits = 8, .is_signed = false}}, {y});
  y = g.add("pool", AvgPool{.ceil_mode = true, .count_include_pad = true}, {y});
  y = g.add("resize", Resize{.height = 5, .width = 6}, {y});
  g.set_output(y);
  Model model{.name = "small", .graph = std::move(g)};
  model.classes = {"a", "b", "c", "d"};
  model.notes = {{"source", "fuzz"}};
  return model;
}

/// Runs what was accepted, if it is small.
void use(const Model& model) {
  std::int64_t elements = 0;
  for (const Value& value : model.graph.values()) elements += value.shape.count();
  static_cast<void>(model_from_json(model_to_json(model)));
  if (elements > 20'000 || model.graph.inputs().size() != 1 || model.graph.nodes().empty()) return;
  if (model.graph.producer(model.graph.output()) == nullptr) return;
  Executor<float> executor(model.graph);
  const Tensor<float> image(model.graph.shape(model.graph.inputs()[0]), 0.5F);
  static_cast<void>(executor.forward(image.view()));
}

std::vector<std::string> onnx_seeds() {
  return {testing_tools::every_operator()};
}
void read_onnx(const std::string& input, const fs::path&) {
  use(import_onnx(as_bytes(input), "fuzz.onnx"));
}

std::vector<std::string> model_seeds() {
  return {model_to_json(small_model())};
}
void read_model(const std::string& input, const fs::path&) {
  use(model_from_json(input));
}

std::vector<std::string> checkpoint_seeds() {
  return {file_made_by([](const fs::path& path) { save_checkpoint(small_model(), path, "{\"epoch\": 3}"); })};
}
void read_checkpoint(const std::string& input, const fs::path& folder) {
  use(load_checkpoint(write_sealed(folder / "network.h5", input)).model);
}

// Programs ------------------------------------------------------------------------------------------------------------

Program seed_program(std::uint64_t seed) {
  Random random(seed, 5);
  return harness::random_program(random, {.instructions = 5, .max_extent = 5, .max_channels = 8});
}

void use(const Program& program) {
  if (program.arena_bytes > 200'000 || program.constants.size() > 200'000 || program.code.size() > 50) return;
  std::int64_t work = 0;
  for (const Instruction& instruction : program.code) {
    const Region& out = output_of(instruction.operation);
    for (const Region& in : inputs_of(instruction.operation)) work += in.shape.count() * out.shape.count();
  }
  if (work > 2'000'000) return;
  Random random(1);
  const std::vector<std::byte> in = harness::random_codes(random, program.input);
  std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)));
  Engine(program).run(in, out);
  static_cast<void>(harness::run_reference(program, in));
}

constexpr std::uint64_t kPrograms = 8;

/// Constants are those of the program whose number the text ends with.
std::vector<std::string> program_text_seeds() {
  std::vector<std::string> seeds;
  for (std::uint64_t i = 0; i < kPrograms; ++i) seeds.push_back(program_to_json(seed_program(i)) + std::to_string(i));
  return seeds;
}
void read_program_text(const std::string& input, const fs::path&) {
  if (input.empty()) return;
  const std::uint64_t number = static_cast<unsigned char>(input.back()) % kPrograms;
  use(program_from_json(input.substr(0, input.size() - 1), seed_program(number).constants));
}

std::vector<std::string> program_seeds() {
  std::vector<std::string> seeds;
  for (std::uint64_t i = 0; i < 3; ++i) {
    seeds.push_back(file_made_by([&](const fs::path& path) { save_program(seed_program(i), path); }));
  }
  return seeds;
}
void read_program(const std::string& input, const fs::path& folder) {
  use(load_program(write_sealed(folder / "program.h5", input)));
}

// Predictions ---------------------------------------------------------------------------------------------------------

std::vector<std::string> predictions_seeds() {
  Predictions a{.method = "float", .classes = 3};
  a.images = {"a.png", "b.png"};
  a.hashes = {"00ff", "1234"};
  a.labels = {2, 0};
  a.top1 = {1, 0};
  a.top5 = {1, 2, 0, -1, -1, 0, 1, 2, -1, -1};
  a.logits = Tensor<float>(Shape{2, 1, 1, 3}, std::vector<float>{1, 2, 1.5F, 3, 2, -0.25F});
  Predictions b = a;
  b.method = "ptq8";
  Predictions c{.method = "map", .classes = 2};
  c.images = {"x.png"};
  c.hashes = {"77"};
  c.confusion = {100, 2, 3, 4};
  return {file_made_by([&](const fs::path& path) {
            write_predictions(path, {a, b});
          }),
          file_made_by([&](const fs::path& path) { write_predictions(path, {c}); })};
}
void read_predictions_file(const std::string& input, const fs::path& folder) {
  const std::vector<Predictions> columns = read_predictions(write_sealed(folder / "predictions.h5", input));
  for (const Predictions& column : columns) {
    static_cast<void>(accuracy_row(column, nullptr));
    static_cast<void>(accuracy_row(column, &columns.front()));
  }
}

// Lists, profiles, images ---------------------------------------------------------------------------------------------

std::vector<std::string> list_seeds() {
  return {"file,wnid,class_index\na/1.png,n01,0\nb/2.png,n02,1\n", "0 sky\n1 wall\n2 floor void\n", "4x4\n8bit\nroad\n",
          "a.png 0\nb.png 1\n", "a.png b.png\nc.png b.png\n"};
}
std::vector<std::string> list_words() {
  std::vector<std::string> words = numbers();
  for (const char* word : {",", "\n", " ", "\t", "../", "/", "a.png", "void", "class_index", "wnid", "file"}) {
    words.emplace_back(word);
  }
  return words;
}
void read_lists(const std::string& input, const fs::path& folder) {
  const auto attempt = [](const auto& read) {
    try {
      read();
    } catch (const DataError&) {
      return;  // each of the readers gets its turn
    }
  };
  for (const char* name : {"labels.csv", "labels.txt", "classes.txt", "test.txt"}) write(folder / name, input);
  attempt([&] { read_label_list(folder / "labels.csv"); });
  attempt([&] { read_label_list(folder / "labels.txt"); });
  attempt([&] { read_class_list(folder / "classes.txt"); });
  for (const char* kind : {"camvid", "folder", "imagenet"}) {
    attempt([&] { open_dataset({.kind = kind, .root = folder}); });
  }
}

std::vector<std::string> target_seeds() {
  return {target_text(TargetProfile{}), "weight-rounding = half_even\nbias-bits = 16\n"};
}
void read_target(const std::string& input, const fs::path& folder) {
  open_target(write(folder / "target.cfg", input).string());
}

std::vector<std::string> image_seeds() {
  cv::Mat picture(24, 20, CV_8UC3);
  Random random(9);
  for (int i = 0; i < 24 * 20 * 3; ++i)
    picture.data[i] = static_cast<unsigned char>(i * 3 + static_cast<int>(random.below(20)));
  std::vector<std::string> seeds;
  const auto add = [&](const cv::Mat& image, const char* ending, const std::vector<int>& settings) {
    std::vector<unsigned char> bytes;
    cv::imencode(ending, image, bytes, settings);
    seeds.emplace_back(bytes.begin(), bytes.end());
  };
  for (const char* ending : {".png", ".jpg", ".bmp", ".webp"}) add(picture, ending, {});
  add(picture, ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1, cv::IMWRITE_JPEG_RST_INTERVAL, 2});
  add(picture, ".webp", {cv::IMWRITE_WEBP_QUALITY, 101});
  add(picture.reshape(1), ".png", {});
  add(picture.reshape(1), ".jpg", {});
  return seeds;
}
std::vector<std::string> image_words() {
  using std::string_literals::operator""s;
  return {"\xFF\xD8"s, "\xFF\xD9"s, "\xFF\xDA"s, "\xFF\xC0"s, "\xFF\xC2"s, "\xFF\xC4"s, "\xFF\xDD\0\4\0\1"s,
          "IHDR"s,     "IDAT"s,     "IEND"s,     "PLTE"s,     "tRNS"s,     "zTXt"s,     "iCCP"s,
          "RIFF"s,     "WEBP"s,     "VP8X"s,     "VP8L"s,     "ALPH"s,     "BM"s};
}
void read_image(const std::string& input, const fs::path&) {
  const auto attempt = [](const auto& read) {
    try {
      static_cast<void>(read());
    } catch (const DataError&) {
      return;
    }
  };
  attempt([&] { return decode_image(as_bytes(input), Preprocessing::Color::rgb); });
  attempt([&] { return decode_image(as_bytes(input), Preprocessing::Color::gray); });
  attempt([&] { return decode_label_map(as_bytes(input)); });
}

constexpr std::array<Reader, 9> kReaders{{
    {"onnx", "ONNX files", onnx_seeds, numbers, read_onnx},
    {"model", "the description inside a checkpoint", model_seeds, json_words, read_model},
    {"checkpoint", "checkpoint files, most with a valid seal", checkpoint_seeds, json_words, read_checkpoint},
    {"program-text", "the description inside a program", program_text_seeds, json_words, read_program_text},
    {"program", "program files, most with a valid seal", program_seeds, json_words, read_program},
    {"predictions", "predictions, most with a valid seal", predictions_seeds, numbers, read_predictions_file},
    {"lists", "lists of labels, classes and images", list_seeds, list_words, read_lists},
    {"target", "target profiles, as every config file is read", target_seeds, list_words, read_target},
    {"image", "images and label maps", image_seeds, image_words, read_image},
}};

}  // namespace

std::span<const Reader> readers() {
  return kReaders;
}

}  // namespace binade::fuzz
