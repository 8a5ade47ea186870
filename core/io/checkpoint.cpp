// Checkpoints as HDF5 behind a block that holds the digest of the rest.
#include "core/io/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/hdf5.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = 512;  ///< HDF5 calls it the user block: it may hold anything
constexpr std::string_view kMagic = "Binade checkpoint\n";

std::string header_of(std::span<const std::byte> contents) {
  std::string header = fmt::format("{}bytes {}\nsha256 {}\n", kMagic, contents.size(), sha256_hex(contents));
  header.resize(kBlockBytes, '\0');
  return header;
}

/// HDF5 must never see a damaged file: the library is not made for that.
void verify(const std::string& name, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (bytes.empty()) throw DataError(fmt::format("'{}' is empty", name));
  if (!text.starts_with(kMagic)) {
    throw DataError(fmt::format("'{}' is not a checkpoint: it does not begin with '{}'{}", name,
                                kMagic.substr(0, kMagic.size() - 1),
                                text.starts_with("\x89HDF") ? " (it is some other HDF5 file)" : ""));
  }
  std::size_t wanted = 0;
  const std::string_view line = text.substr(kMagic.size(), 64);
  if (line.starts_with("bytes "))
    wanted = static_cast<std::size_t>(std::strtoull(std::string(line.substr(6)).c_str(), nullptr, 10));
  if (bytes.size() < kBlockBytes || bytes.size() - kBlockBytes < wanted) {
    throw DataError(fmt::format("'{}' is cut off: it has {} bytes of {}", name, bytes.size(), wanted + kBlockBytes));
  }
  if (header_of(bytes.subspan(kBlockBytes)) != text.substr(0, kBlockBytes)) {
    throw DataError(
        fmt::format("'{}' is damaged: its contents do not match the checksum they were written with", name));
  }
}

std::string parameter_path(std::size_t i) {
  return fmt::format("/parameters/p{}", i);
}

void write_contents(const Model& model, const std::string& extra, const fs::path& path) {
  Hdf5File file(path, Hdf5File::Access::create, {.user_block_bytes = kBlockBytes});
  file.write_text("/model", model_to_json(model));
  file.write_text("/extra", extra);
  const auto ids = model.graph.parameters();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Tensor<float>& tensor = model.graph.tensor(ids[i]);
    const Shape s = tensor.shape();
    const std::int64_t dims[] = {s.n, s.h, s.w, s.c};
    const auto finite = [](float v) { return std::isfinite(v); };
    if (!std::all_of(tensor.span().begin(), tensor.span().end(), finite)) {
      throw DataError(fmt::format("parameter '{}' holds NaN or Inf; did training diverge?", model.graph.name(ids[i])));
    }
    file.write<float>(parameter_path(i), tensor.span(), dims);
    file.set_attribute(parameter_path(i), "name", model.graph.name(ids[i]));
  }
  file.close();
}

void write_header(const fs::path& path) {
  const std::vector<std::byte> bytes = read_whole_file(path, "a checkpoint file");
  const std::string header = header_of(std::span(bytes).subspan(kBlockBytes));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.close();
  if (!file) throw DataError(fmt::format("cannot finish '{}': is the disk full?", path.string()));
}

void read_parameters(const Hdf5File& file, Graph& graph) {
  const auto ids = graph.parameters();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Tensor<float>& tensor = graph.tensor(ids[i]);
    const Shape s = tensor.shape();
    const H5Array<float> stored = file.read<float>(parameter_path(i), tensor.count());
    if (stored.dims != std::vector<std::int64_t>{s.n, s.h, s.w, s.c}) {
      throw DataError(fmt::format("parameter '{}' should be {}, the stored one has other extents", graph.name(ids[i]),
                                  to_string(s)));
    }
    for (std::size_t k = 0; k < stored.elements.size(); ++k) {
      if (std::isfinite(stored.elements[k])) continue;
      throw DataError(
          fmt::format("parameter '{}' holds NaN or Inf at index {}; did training diverge?", graph.name(ids[i]), k));
    }
    std::copy(stored.elements.begin(), stored.elements.end(), tensor.data());
  }
}

}  // namespace

void save_checkpoint(const Model& model, const fs::path& path, const std::string& extra) {
  with_context(fmt::format("writing the checkpoint '{}'", path.string()), [&] {
    write_file_atomically(path, [&](const fs::path& temporary) {
      write_contents(model, extra, temporary);
      write_header(temporary);
    });
  });
}

Checkpoint load_checkpoint(const fs::path& path) {
  verify(path.string(), read_whole_file(path, "a checkpoint file"));
  return with_context(fmt::format("reading the checkpoint '{}'", path.string()), [&] {
    const Hdf5File file(path, Hdf5File::Access::read);
    Checkpoint checkpoint{.model = model_from_json(file.read_text("/model")), .extra = file.read_text("/extra")};
    read_parameters(file, checkpoint.model.graph);
    return checkpoint;
  });
}

}  // namespace binade
