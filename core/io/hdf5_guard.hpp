// What an HDF5 file may be before its contents are believed: HDF5 follows links to other files, runs filters that it
// loads, and fails in many ways on metadata that were made to harm it.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace binade::hdf5 {

/// A handle and the function that closes it.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  explicit operator bool() const { return id_ >= 0; }
  hid_t get() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// Throws DataError: "'file': what 'path' (HDF5: its reason)".
[[noreturn]] void fail(const std::string& file, const std::string& path, std::string_view what);

/// That no part of the path is a soft, an external or a user-defined link: those lead out of what the seal covers.
/// Parts that are missing are left to who opens the object.
void check_links(hid_t file, const std::string& name, const std::string& path);

/// Extents of a data set, none of them absurd.
std::vector<std::int64_t> extents_of(const Handle& dataset, const std::string& name, const std::string& path);

/// That the data set holds plain numbers, at most `limit` of them, inside this file, in full: no external storage, no
/// virtual data set, no filter but deflate, and never more bytes than the file can give. Returns how many numbers.
std::int64_t check_dataset(hid_t file, const Handle& dataset, std::int64_t limit, const std::string& name,
                           const std::string& path);

/// That a numeric type is one that a C compiler has, in either byte order.
bool is_plain_number(hid_t type);

/// Lets a process of its own read the whole file first, so that a file on which the library crashes, loops or takes all
/// memory is refused like any other. @throws DataError if that process did not come back in good order
void read_in_a_child_first(const std::filesystem::path& path, const std::string& name);

}  // namespace binade::hdf5
