// Bad input: each kind exits with its own code, names the thing and says what to do.
#include <limits>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

std::filesystem::path first_image(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) return entry.path();
  }
  return {};
}

TEST_F(Smoke, WrongFlagsCommandsAndKeys) {
  expect_failure(run_binade({}), 2, {"no command"});
  expect_failure(run_binade({"tabel"}), 2, {"'tabel'", "did you mean 'table'?"});
  expect_failure(run("table", {"--imags", "4"}), 2, {"--imags", "did you mean '--images'?"});
  expect_failure(run("table", {"--images", "four"}), 2, {"--images", "'four'"});
  expect_failure(run("table", {"--images", "4000"}), 2, {"4000"});
  expect_failure(run("table", {"--methods", "float,ptq8-simpel"}), 2, {"'ptq8-simpel'", "did you mean 'ptq8-simple'?"});
  expect_failure(run("table", {"--format", "txt"}), 2, {"did you mean 'text'?"});
  write_text(path("wrong.cfg"), "imges = 5\n[ptq]\nrnge = mse\n");
  expect_failure(run("table", {path("wrong.cfg")}), 2,
                 {"'imges'", "'images'", "'ptq.rnge'", "'ptq.range'", "wrong.cfg"});
  expect_failure(run("table", {path("none.cfg")}), 2, {"none.cfg"});
  expect_failure(run_binade({"table"}), 2, {"--model"});
  expect_failure(run_binade({"table", "--model", path("net.onnx")}), 2, {"--data"});
  expect_failure(run("table", {"--calibration-images", "-3"}), 2, {"--calibration-images"});
}

TEST_F(Smoke, MissingFilesAndNames) {
  expect_failure(run_binade({"evaluate", "--model", path("gone.onnx"), "--data", path("images")}), 3, {"gone.onnx"});
  expect_failure(run_binade({"inspect", "--model", "mobilnet_v2"}), 2,
                 {"'mobilnet_v2'", "did you mean 'mobilenet_v2'?"});
  expect_failure(run_binade({"evaluate", "--model", path("net.onnx"), "--data", path("nowhere")}), 3, {"nowhere"});
  std::filesystem::create_directories(path("empty/val"));
  expect_failure(run_binade({"evaluate", "--model", path("net.onnx"), "--data", path("empty")}), 3, {"empty"});
}

TEST_F(Smoke, BrokenNetworks) {
  const std::string whole = read_text(path("net.onnx"));
  write_text(path("cut.onnx"), whole.substr(0, whole.size() / 2));
  expect_failure(run_binade({"inspect", "--model", path("cut.onnx")}), 3, {"cut.onnx"});

  auto odd = small_network(kSize, kClasses);
  odd.node("Einsum", "strange", {"fc"});
  odd.node("Loop", "round", {"strange"});
  write_text(path("odd.onnx"), odd.bytes("round"));
  expect_failure(run_binade({"inspect", "--model", path("odd.onnx")}), 3,
                 {"odd.onnx", "strange", "Einsum", "round", "Loop"});

  auto poisoned = small_network(kSize, kClasses);
  poisoned.reals("bad", {kClasses}, {0, std::numeric_limits<float>::quiet_NaN(), 0, 0});
  poisoned.node("Add", "poison", {"fc", "bad"});
  write_text(path("nan.onnx"), poisoned.bytes("poison"));
  expect_failure(run_binade({"inspect", "--model", path("nan.onnx")}), 3, {"nan.onnx", "bad"});
}

TEST_F(Smoke, BadImages) {
  const auto victim = first_image(path("images/val"));
  write_text(victim, "this is no image");
  expect_failure(run("table", {"--methods", "float"}), 3, {victim.filename().string()});
  const Outcome skipped = run("table", {"--methods", "float", "--skip-bad-images"});
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_NE(skipped.out.find(victim.filename().string()), std::string::npos) << skipped.out;
  EXPECT_NE(skipped.out.find("n = 23 images"), std::string::npos) << skipped.out;
}

TEST_F(Smoke, ImagesThatDoNotFitTheNetwork) {
  write_text(path("few.onnx"), small_network(kSize, kClasses - 1).bytes("fc"));
  expect_failure(run_binade({"evaluate", "--model", path("few.onnx"), "--data", path("images")}), 3, {"label", "3"});
  // Nothing is scaled to 40 pixels, and the images have 32.
  write_text(path("large.onnx"), small_network(40, kClasses).bytes("fc"));
  expect_failure(run_binade({"evaluate", "--model", path("large.onnx"), "--data", path("images"),
                             "--preprocessing.resize", "none"}),
                 3, {"32", "40"});
}

TEST_F(Smoke, CalibrationOnEvaluationImagesIsAnError) {
  const std::vector<std::string> leaky{"--calibration-data", path("images/val"), "--dataset", "folder",
                                       "--methods",          "float,ptq16"};
  std::vector<std::string> arguments{"table", "--model", path("net.onnx"), "--data", path("images/val")};
  arguments.insert(arguments.end(), leaky.begin(), leaky.end());
  expect_failure(run_binade(arguments), 3, {"24 of 24", "--allow-leakage"});
  arguments.emplace_back("--allow-leakage");
  const Outcome allowed = run_binade(arguments);
  EXPECT_EQ(allowed.code, 0) << allowed.err;
  EXPECT_NE(allowed.out.find("Leakage allowed: 24 of 24"), std::string::npos) << allowed.out;
}

}  // namespace
}  // namespace binade
