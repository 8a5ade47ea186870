// Runs the built program as a user would, in a folder of its own with generated images and a small ONNX network.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/onnx_builder.hpp"

namespace binade {

struct Outcome {
  int code = -1;  ///< exit code; -1 when a signal ended it
  std::string out, err;
};

/// Runs build/binade and waits. `before` is shell text that runs first in the same shell: "ulimit -f 8;".
Outcome run_binade(const std::vector<std::string>& arguments, const std::string& before = {});

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

/// Convolution, ReLU, mean, classifier of `classes` for images of `size` pixels, with fixed pseudo-random weights.
testing_tools::OnnxBuilder small_network(int size, int classes);

class Smoke : public testing::Test {
 protected:
  static constexpr int kSize = 32, kClasses = 4;

  void SetUp() override;
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Flags for the images and the network of the fixture, before `more`.
  Outcome run(const std::string& command, const std::vector<std::string>& more) const;
  /// Expects the exit code, and every one of `words` in what is said on stderr.
  void expect_failure(const Outcome& outcome, int code, const std::vector<std::string>& words) const;

  std::filesystem::path folder_;
};

}  // namespace binade
