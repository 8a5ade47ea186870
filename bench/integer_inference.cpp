// Times a network of the zoo on the integer engine, with random codes: MODEL BATCH THREADS [SECONDS [WIDTHS]].
// MODEL may be a quantized checkpoint, network.h5; it has widths of its own.
//
// Prints "NAME integer8 bN Tthread: X ms (cpu Y)" as bench_float_inference does.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "bench/random_integer_program.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/timing.hpp"
#include "core/integer/engine.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/io/checkpoint.hpp"
#include "core/models/models.hpp"
#include "core/passes/apply_target.hpp"

namespace {

using namespace binade;

Program program_of(const std::string& model, const std::string& widths) {
  if (model.ends_with(".h5")) return lower(apply_target(load_checkpoint(model).model.graph, {}), {}).program;
  return bench::RandomProgram(build_graph(find_model(model)), bench::widths_of(widths)).make();
}

int run(int argc, char** argv) {
  if (argc < 4) throw UsageError("usage: bench_integer_inference MODEL BATCH THREADS [SECONDS [WIDTHS]]");
  const int batch = std::atoi(argv[2]), threads = std::atoi(argv[3]);
  const double seconds = argc > 4 ? std::atof(argv[4]) : 2;
  if (batch < 1 || threads < 1) throw UsageError("BATCH and THREADS must be at least 1");
  const std::string model = argv[1], widths = argc > 5 ? argv[5] : (model.ends_with(".h5") ? "" : "8");
  set_thread_count(threads);
  const Program program = program_of(model, widths);
  Engine engine(program);
  const std::vector<std::byte> in = bench::random_images(program, batch);
  std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)) * static_cast<std::size_t>(batch));
  const Timing time = measure(seconds, [&] { engine.run(in, out, batch); });
  std::printf("%s integer%s b%d %dthread: %.3f ms (cpu %.3f)\n", model.c_str(), widths.c_str(), batch, threads,
              time.wall_ms, time.cpu_ms);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
