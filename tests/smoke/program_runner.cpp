// The fixture of the smoke tests: files, a child process, what it said.
#include "tests/smoke/program_runner.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/base/random.hpp"
#include "datasets/generated.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::vector<float> random_values(std::size_t count, std::uint64_t stream) {
  Random random(1, stream);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.uniform(-0.5, 0.5));
  return values;
}

}  // namespace

Outcome run_binade(const std::vector<std::string>& arguments, const std::string& before) {
  static int runs = 0;
  const auto base = std::filesystem::path(testing::TempDir()) /
                    ("binade_run_" + std::to_string(getpid()) + "_" + std::to_string(runs++));
  const std::string out = base.string() + ".out", err = base.string() + ".err";
  std::string line = quoted(testing_tools::binade_program().string());
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  const int status = std::system((before + line + " >" + quoted(out) + " 2>" + quoted(err) + " </dev/null").c_str());
  Outcome outcome{.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .out = read_text(out), .err = read_text(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

testing_tools::OnnxBuilder small_network(int size, int classes) {
  using testing_tools::attribute;
  constexpr int kChannels = 8;
  testing_tools::OnnxBuilder builder(13, {3, size, size});
  builder.reals("stem.weight", {kChannels, 3, 3, 3}, random_values(kChannels * 27, 1));
  builder.reals("stem.bias", {kChannels}, random_values(kChannels, 2));
  builder.reals("fc.weight", {classes, kChannels}, random_values(static_cast<std::size_t>(classes) * kChannels, 3));
  builder.reals("fc.bias", {classes}, random_values(static_cast<std::size_t>(classes), 4));
  builder.node("Conv", "stem", {"x", "stem.weight", "stem.bias"},
               {attribute("strides", std::vector<std::int64_t>{2, 2}),
                attribute("pads", std::vector<std::int64_t>{1, 1, 1, 1})});
  builder.node("Relu", "relu", {"stem"});
  builder.node("GlobalAveragePool", "pool", {"relu"});
  builder.node("Flatten", "flat", {"pool"});
  builder.node("Gemm", "fc", {"flat", "fc.weight", "fc.bias"}, {attribute("transB", std::int64_t{1})});
  return builder;
}

void Smoke::SetUp() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  folder_ = std::filesystem::path(testing::TempDir()) /
            ("binade_smoke_" + std::string(test->name()) + "_" + std::to_string(getpid()));
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directories(folder_);
  generate_images(folder_ / "images", {.classes = kClasses, .train = 40, .val = 24, .size = kSize});
  write_text(folder_ / "net.onnx", small_network(kSize, kClasses).bytes("fc"));
}

Outcome Smoke::run(const std::string& command, const std::vector<std::string>& more) const {
  std::vector<std::string> arguments{command,    "--model", path("net.onnx"), "--dataset",
                                     "imagenet", "--data",  path("images")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_binade(arguments);
}

void Smoke::expect_failure(const Outcome& outcome, int code, const std::vector<std::string>& words) const {
  EXPECT_EQ(outcome.code, code) << outcome.err << outcome.out;
  EXPECT_EQ(outcome.err.rfind("error: ", 0) == 0 || outcome.err.find("\nerror: ") != std::string::npos, true)
      << outcome.err;
  for (const std::string& word : words)
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word << " in\n" << outcome.err;
}

}  // namespace binade
