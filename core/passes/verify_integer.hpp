// The proof: codes of an integer program against the quantized graph, tensor by tensor, element by element.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/integer/lower/lower.hpp"

namespace binade {

/// The first element, in order of execution, where program and graph differ.
struct Mismatch {
  std::int64_t image = 0;
  std::string tensor;     ///< name of the graph value
  std::string operation;  ///< of the instruction that made it
  int instruction = -1;   ///< -1: the input
  int y = 0, x = 0, c = 0;
  std::optional<std::int64_t> accumulator;  ///< of the program, where the instruction has one
  int shift = 0;                            ///< from accumulator to code
  std::int64_t code = 0;                    ///< of the program
  double graph_code = 0;                    ///< of the graph: value * 2^frac; not an integer if it is off the grid
  std::string to_string() const;
};

struct Verification {
  std::int64_t images = 0;
  std::int64_t tensors = 0;     ///< compared per image
  std::int64_t elements = 0;    ///< compared over all images
  std::int64_t mismatches = 0;  ///< of the reference interpreter against the graph
  std::optional<Mismatch> first;
  std::int64_t engine_mismatches = 0;  ///< codes of the fast engine that differ from the reference's
  std::string engine_first;            ///< where the first of them is
  RunStatistics statistics;            ///< of the reference
};

/// Runs the graph in double, where its arithmetic is exact, and the program by the reference interpreter and by
/// the engine, and compares
/// every tensor that the program holds.
class IntegerVerifier {
 public:
  /// @throws DataError if the program holds a tensor that the graph does not
  /// Both must outlive the verifier.
  IntegerVerifier(const Graph& quantized, const Program& program);
  ~IntegerVerifier();
  /// @shape images {n, h, w, c}
  void check(View<const float> images);
  const Verification& result() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace binade
