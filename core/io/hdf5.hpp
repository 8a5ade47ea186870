// HDF5 files as values: files, groups by path, tensors, strings and attributes. Every failure is a DataError.
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

/// An HDF5 file: one that is read, or one that is made in memory. Paths are absolute ("/parameters/p0"); attribute
/// paths name their object ("/" is the file's). T may be float, double, std::int8_t, std::uint8_t, std::int32_t,
/// std::int64_t or std::uint64_t; HDF5 converts on reading. Messages name the file and the path. Not thread-safe, like
/// the library.
///
/// All that is read lies inside the file: links that are not hard ones, external storage, virtual data sets and filters
/// other than deflate are refused, and no memory is taken that the file does not account for. The disk is not written
/// to by the library, which cannot bear it when that fails.
class Hdf5File {
 public:
  /// Opens a file to read. @throws DataError if it is missing, is not HDF5, is damaged or is no regular file
  explicit Hdf5File(const std::filesystem::path& path);
  /// An empty file in memory. `user_block_bytes` are reserved at its start: 0, or a power of two >= 512.
  static Hdf5File in_memory(std::size_t user_block_bytes);
  ~Hdf5File();
  Hdf5File(Hdf5File&& other) noexcept : id_(std::exchange(other.id_, -1)), name_(std::move(other.name_)) {}
  Hdf5File& operator=(Hdf5File&&) = delete;

  /// The whole file as it would be on disk, of one that was made in memory.
  std::vector<std::byte> bytes() const;

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

 private:
  Hdf5File() = default;
  std::int64_t id_ = -1;
  std::string name_;
};

}  // namespace binade
