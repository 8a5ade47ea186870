// Runs a saved integer program on one image: run_program PROGRAM.h5 NETWORK.h5 IMAGE. The network says how an image
// becomes numbers and what its classes are called.
#include <cstdio>
#include <exception>
#include <string>

#include "core/formats/formats.hpp"
#include "core/integer/engine.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/io/program_file.hpp"
#include "datasets/loader.hpp"

int main(int count, char** words) try {
  if (count != 4) {
    std::fprintf(stderr, "usage: run_program PROGRAM.h5 NETWORK.h5 IMAGE\n");
    return 2;
  }
  const binade::Program program = binade::load_program(words[1]);
  const binade::Model model = binade::load_model(words[2]);

  // The file becomes the pixels that the network sees, those become numbers, and those the codes of the input.
  const binade::Pixels pixels = binade::prepare_image(binade::read_file(words[3]), model.preprocessing);
  binade::Tensor<float> image(pixels.shape());
  binade::Normaliser normalise(model.preprocessing);
  normalise(pixels.span(), image.span());
  std::vector<std::byte> in(static_cast<std::size_t>(binade::bytes_of(program.input)));
  std::vector<std::byte> out(static_cast<std::size_t>(binade::bytes_of(program.output)));
  binade::quantize_input(program, std::as_const(image).view(), in);

  binade::Engine engine(program);  // integers from here to the codes of the result
  engine.run(in, out);

  binade::Tensor<float> scores(program.output.shape);
  binade::dequantize_output(program, out, scores.view());
  int best = 0;
  for (int i = 1; i < scores.count(); ++i) best = scores[i] > scores[best] ? i : best;
  const auto index = static_cast<std::size_t>(best);
  const std::string name = index < model.classes.size() ? model.classes[index] : "without a name";
  std::printf("class %d (%s), score %g\n", best, name.c_str(), static_cast<double>(scores[best]));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 3;
}
