// Times image loading: `bench_jpeg_loading FOLDER [KIND]`, the rates of each step on one core and of the loader.
//
// Evaluation must never wait for images: compare "loader, 2 threads" with the images per second of the network.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "core/base/hash.hpp"
#include "datasets/loader.hpp"

namespace {

using namespace binade;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Images per second of the fastest of three rounds over all files (the first also warms up).
double best_rate(std::size_t images, const std::function<void()>& round) {
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const double begin = now();
    round();
    best = std::max(best, static_cast<double>(images) / (now() - begin));
  }
  return best;
}

void print(const char* what, double rate) {
  std::printf("%-44s %9.0f images/s\n", what, rate);
}

void time_steps(const std::vector<std::vector<std::byte>>& files, const Preprocessing& preprocessing) {
  const auto each = [&](const std::function<void(const std::vector<std::byte>&)>& step) {
    return best_rate(files.size(), [&] {
      for (const std::vector<std::byte>& file : files) step(file);
    });
  };
  const Normaliser normaliser(preprocessing);
  std::vector<float> numbers(static_cast<std::size_t>(input_shape(preprocessing).count()));
  const Pixels pixels = prepare_image(files[0], preprocessing);
  print("one core: structure check", each([](const auto& file) { static_cast<void>(find_damage(file)); }));
  print("one core: SHA-256", each([](const auto& file) { static_cast<void>(sha256_hex(file)); }));
  print("one core: decode", each([&](const auto& file) { decode_image(file, preprocessing.color); }));
  print("one core: decode, resize, crop", each([&](const auto& file) { prepare_image(file, preprocessing); }));
  print("one core: to float", each([&](const auto&) { normaliser(pixels.span(), numbers); }));
  print("one core: decode, resize, crop, to float",
        each([&](const auto& file) { normaliser(prepare_image(file, preprocessing).span(), numbers); }));
}

void time_loader(const Dataset& dataset, const Preprocessing& preprocessing, int threads) {
  const auto read = [](LoadedImages& images) {
    for (int first = 0; first < images.count(); first += 32) images.images(first, std::min(32, images.count() - first));
  };
  const double rate = best_rate(dataset.items.size(), [&] {
    LoadedImages images(dataset, preprocessing, {.threads = threads});
    read(images);
  });
  print(("loader, " + std::to_string(threads) + " threads: files to float batches").c_str(), rate);
  LoadedImages images(dataset, preprocessing, {.threads = threads});
  read(images);
  print("  the same images again, from the cache", best_rate(dataset.items.size(), [&] { read(images); }));
  TrainingLoader training(dataset, preprocessing, {}, 1, {.threads = threads});
  int epoch = 0;
  print("  augmented for training, from the cache", best_rate(dataset.items.size(), [&] {
          training.start_epoch(epoch++, 1);
          for (int i = 0; i < training.count(); ++i) training.next();
        }));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_jpeg_loading FOLDER [KIND]\n");
    return 2;
  }
  try {
    const Dataset dataset = open_dataset({.kind = argc > 2 ? argv[2] : "imagenet", .root = argv[1]});
    const Preprocessing preprocessing;  // short side at most 256, centre crop 224
    std::vector<std::vector<std::byte>> files;
    std::size_t bytes = 0;
    for (const DatasetItem& item : dataset.items) {
      if (files.size() == 400) break;
      files.push_back(read_file(dataset.file(item)));
      bytes += files.back().size();
    }
    std::printf("%zu images, %.0f KB on average\n", dataset.items.size(),
                static_cast<double>(bytes) / 1e3 / static_cast<double>(files.size()));
    time_steps(files, preprocessing);
    for (const int threads : {1, 2}) time_loader(dataset, preprocessing, threads);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
