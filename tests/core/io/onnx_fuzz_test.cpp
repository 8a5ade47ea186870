// A small share of what tests/fuzz/fuzz_onnx.cpp does at length.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/onnx_builder.hpp"
#include "tests/harness/onnx_mutator.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

TEST(OnnxFuzz, TheUndamagedStartIsImported) {
  const std::string bytes = testing_tools::every_operator();
  const Model model = import_onnx(std::as_bytes(std::span(bytes)), "every.onnx");
  EXPECT_EQ(model.graph.shape(model.graph.output()), channel_shape(5));
}

TEST(OnnxFuzz, DamagedFilesAreImportedOrRefusedButNothingElse) {
  const testing_tools::OnnxMutator mutator((testing_tools::shared_data() / "weights").string());
  int refused = 0, imported = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    SCOPED_TRACE("replay: build/fuzz_onnx --seed 7 --inputs 1 --first " + std::to_string(i));
    const std::string bytes = mutator.mutate(7, i);
    try {
      const Model model = import_onnx(std::as_bytes(std::span(bytes)), "damaged.onnx");
      ++imported;
      EXPECT_NO_THROW(model_from_json(model_to_json(model)));
    } catch (const DataError& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find("damaged.onnx"), std::string::npos) << error.what();
    } catch (const std::exception& error) {
      ADD_FAILURE() << "not a DataError: " << error.what();
    }
  }
  // Both happen, or the mutations say nothing.
  EXPECT_GT(refused, 200);
  EXPECT_GT(imported, 50);
}

}  // namespace
}  // namespace binade
