// HDF5 files preceded by a block that holds the digest of the rest: written in one step, refused when damaged.
//
// The file starts with 512 bytes of text: a line that names its kind, `bytes <n>` and `sha256 <digest>` over all that
// follows; what follows is plain HDF5 (h5dump reads it).
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "core/io/hdf5.hpp"

namespace binade {

/// How a kind of file begins and what messages call it.
struct SealedKind {
  std::string_view first_line;  ///< "Binade checkpoint"
  std::string_view noun;        ///< "checkpoint"
};

/// Whether a file that begins with these bytes claims to be of that kind.
bool is_sealed(std::span<const std::byte> head, const SealedKind& kind);

/// Replaces `path` in one step by what `write` puts into an empty file. The same contents give the same bytes.
/// @throws DataError if the file cannot be written
void save_sealed(const std::filesystem::path& path, const SealedKind& kind,
                 const std::function<void(Hdf5File& file)>& write);

/// @throws DataError for a file that is missing, of another kind, cut off or damaged
Hdf5File open_sealed(const std::filesystem::path& path, const SealedKind& kind);

}  // namespace binade
