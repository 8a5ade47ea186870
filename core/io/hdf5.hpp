// HDF5 behind values: files, groups by path, tensors, strings and attributes. Every failure is a DataError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace binade {

/// A numeric array of any rank, row-major.
template <class T>
struct H5Array {
  std::vector<std::int64_t> dims;
  std::vector<T> elements;
};

/// An open HDF5 file. Paths are absolute ("/parameters/p0"); attribute paths name their object ("/" is the file's).
/// T may be float, double, std::int8_t, std::uint8_t, std::int32_t, std::int64_t or std::uint64_t; HDF5 converts on
/// reading. Messages name the file and the path. Not thread-safe, like the library.
class Hdf5File {
 public:
  enum class Access : std::uint8_t { read, create };
  struct Options {
    std::size_t user_block_bytes = 0;  ///< reserved at the file's start: 0, or a power of two >= 512
  };

  /// @throws DataError if the file is missing, is not HDF5 or cannot be created
  Hdf5File(const std::filesystem::path& path, Access access, Options options);
  Hdf5File(const std::filesystem::path& path, Access access) : Hdf5File(path, access, Options{}) {}
  ~Hdf5File();
  Hdf5File(Hdf5File&& other) noexcept : id_(std::exchange(other.id_, -1)), name_(std::move(other.name_)) {}
  Hdf5File& operator=(Hdf5File&&) = delete;

  /// Whether a group or data set is there.
  bool contains(const std::string& path) const;
  /// Names in a group, sorted.
  std::vector<std::string> names(const std::string& group) const;
  std::vector<std::int64_t> dims(const std::string& path) const;

  /// @throws DataError if the data set is missing, not numeric, damaged, or has more than `limit` elements
  template <class T>
  H5Array<T> read(const std::string& path, std::int64_t limit = std::int64_t{1} << 31) const;
  /// Creates the data set and the groups above it.
  template <class T>
  void write(const std::string& path, std::span<const T> elements, std::span<const std::int64_t> dims);

  /// A string that is stored as bytes: no limit of length, no encoding but UTF-8.
  std::string read_text(const std::string& path) const;
  void write_text(const std::string& path, std::string_view text);

  bool has_attribute(const std::string& object, const std::string& name) const;
  std::string text_attribute(const std::string& object, const std::string& name) const;
  std::int64_t integer_attribute(const std::string& object, const std::string& name) const;
  double real_attribute(const std::string& object, const std::string& name) const;
  void set_attribute(const std::string& object, const std::string& name, std::string_view text);
  void set_attribute(const std::string& object, const std::string& name, std::int64_t value);
  void set_attribute(const std::string& object, const std::string& name, double value);

  /// Flushes and closes. The destructor does so too, but cannot report that the disk is full.
  void close();

 private:
  std::int64_t id_ = -1;
  std::string name_;
};

}  // namespace binade
