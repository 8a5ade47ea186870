// Inputs that hang, crash or mislead a program that believes them: pipes, loops of links, full disks, strange names.
#include <sys/stat.h>

#include <filesystem>

#include "core/base/random.hpp"
#include "core/io/checkpoint.hpp"
#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

/// Ends what hangs: a pipe without a writer waits for ever.
const std::string kSoon = "timeout 20 ";

TEST_F(Smoke, PipesAndDevicesAreNoFiles) {
  for (const char* name : {"pipe.onnx", "pipe.h5", "pipe.cfg"}) ASSERT_EQ(::mkfifo(path(name).c_str(), 0600), 0);
  fs::create_symlink("loop.onnx", path("loop.onnx"));
  for (const char* name : {"pipe.onnx", "pipe.h5"}) {
    expect_failure(run_binade({"inspect", "--model", path(name)}, kSoon), 3, {name, "is a pipe or a device"});
  }
  expect_failure(run_binade({"inspect", "--model", path("loop.onnx")}, kSoon), 3, {"loop.onnx"});
  expect_failure(run_binade({"table", path("pipe.cfg")}, kSoon), 2, {"pipe.cfg", "is a pipe or a device"});
  expect_failure(run_binade({"table", "/dev/zero"}, kSoon), 2, {"/dev/zero"});
  expect_failure(run_binade({"table", folder_.string()}, kSoon), 2, {"is a folder"});
  ASSERT_EQ(::mkfifo(path("images/val/pipe.png").c_str(), 0600), 0);
  expect_failure(run_binade({"table", "--model", path("net.onnx"), "--dataset", "images", "--data", path("images"),
                             "--methods", "float"},
                            kSoon),
                 3, {});
}

TEST_F(Smoke, AFileSizeLimitIsAFullDisk) {
  const Outcome whole =
      run("ptq", {"--calibration-data", path("images/train"), "--calibration-images", "8", "--out", path("whole")});
  ASSERT_EQ(whole.code, 0) << whole.err;
  const std::vector<std::string> arguments{"ptq",
                                           "--model",
                                           path("net.onnx"),
                                           "--data",
                                           path("images"),
                                           "--calibration-data",
                                           path("images/train"),
                                           "--calibration-images",
                                           "8",
                                           "--out",
                                           path("cut")};
  const Outcome cut = run_binade(arguments, "ulimit -f 4; " + kSoon);
  expect_failure(cut, 3, {"cannot write", "cut"});
  if (!fs::exists(path("cut"))) return;
  for (const auto& entry : fs::directory_iterator(path("cut"))) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
}

TEST_F(Smoke, ControlCharactersReachNoTerminal) {
  const Outcome outcome = run_binade({"inspect", "--model", path("\x1b[31mred\n.onnx")});
  expect_failure(outcome, 3, {"\\x1b[31mred"});
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos) << outcome.err;
}

TEST_F(Smoke, NamesThatAreNotUtf8LoseNoReport) {
  fs::create_directories(path("odd"));
  int copied = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path("images/val"))) {
    if (!entry.is_regular_file() || entry.path().extension() == ".csv") continue;
    const std::string folder = path("odd/class" + std::to_string(copied % 4) + "\xff");
    fs::create_directories(folder);
    fs::copy(entry.path(), folder + "/" + std::to_string(copied++) + "\xfe" + entry.path().extension().string());
  }
  const Outcome outcome = run_binade({"table", "--model", path("net.onnx"), "--dataset", "folder", "--data",
                                      path("odd"), "--methods", "float", "--out", path("tab\xfdle")});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(path("tab\xfdle/report.json")));
  EXPECT_TRUE(fs::exists(path("tab\xfdle/predictions.h5")));
}

}  // namespace
}  // namespace binade
