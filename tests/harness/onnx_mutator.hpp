// Damaged ONNX files: bytes and structure of good ones, changed by a random number generator.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include "core/base/random.hpp"

namespace binade::testing_tools {

class OnnxMutator {
 public:
  /// Starts from a made-up network with every operator and, where `weights` is a folder with .onnx files, from those:
  /// the small ones whole, the others without their large tensors.
  explicit OnnxMutator(const std::filesystem::path& weights);

  /// The `index`-th damaged file of a seed: the same for the same seeds files, whoever asks.
  std::string mutate(std::uint64_t seed, std::uint64_t index) const;
  std::size_t seed_files() const { return seeds_.size(); }

 private:
  struct Seed {
    std::string bytes;
    ::onnx::ModelProto proto;
    std::vector<std::size_t> interesting;  ///< positions outside large tensors
  };
  void add(std::string bytes);
  static void edit_bytes(const Seed& seed, Random& random, std::string& bytes);
  static void edit_structure(::onnx::ModelProto& proto, Random& random);

  std::vector<Seed> seeds_;
};

}  // namespace binade::testing_tools
