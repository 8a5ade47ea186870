// The HDF5 C interface, wrapped: handles close themselves, errors are collected instead of printed.
#include "core/io/hdf5.hpp"

#include <hdf5.h>

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

static_assert(std::is_same_v<hid_t, std::int64_t>, "HDF5 1.10 and later have 64-bit handles");

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

/// The library would print every error, also those that we expect and handle.
void silence() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

/// The innermost description on HDF5's error stack.
std::string library_reason() {
  std::string reason;
  const auto visit = [](unsigned depth, const H5E_error2_t* error, void* out) -> herr_t {
    if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &reason);
  return reason.empty() ? "" : fmt::format(" (HDF5: {})", reason);
}

[[noreturn]] void fail(const std::string& file, const std::string& path, std::string_view what) {
  throw DataError(fmt::format("'{}': {} '{}'{}", file, what, path, library_reason()));
}

template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, std::int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

Handle open_dataset(std::int64_t file, const std::string& name, const std::string& path) {
  const hid_t id = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (id < 0) fail(name, path, "there is no data set");
  return {id, H5Dclose};
}

std::vector<std::int64_t> dims_of(const Handle& dataset, const std::string& file, const std::string& path) {
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank < 0 || (rank > 0 && H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr) < 0)) {
    fail(file, path, "cannot read the extents of");
  }
  std::vector<std::int64_t> dims;
  for (const hsize_t extent : extents) {
    if (extent > (hsize_t{1} << 40)) fail(file, path, "absurd extents of");
    dims.push_back(static_cast<std::int64_t>(extent));
  }
  return dims;
}

Handle open_attribute(std::int64_t file, const std::string& file_name, const std::string& object,
                      const std::string& name) {
  const hid_t id = H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  if (id < 0) fail(file_name, object + "@" + name, "there is no attribute");
  return {id, H5Aclose};
}

template <class T>
T scalar_attribute(std::int64_t file, const std::string& file_name, const std::string& object, const std::string& name,
                   H5T_class_t wanted) {
  const Handle attribute = open_attribute(file, file_name, object, name);
  const Handle space(H5Aget_space(attribute.get()), H5Sclose), type(H5Aget_type(attribute.get()), H5Tclose);
  T value{};
  if (!space || !type || H5Sget_simple_extent_npoints(space.get()) != 1 || H5Tget_class(type.get()) != wanted ||
      H5Aread(attribute.get(), memory_type<T>(), &value) < 0) {
    fail(file_name, object + "@" + name, wanted == H5T_INTEGER ? "want one integer in" : "want one real in");
  }
  return value;
}

void replace_attribute(std::int64_t file, const std::string& file_name, const std::string& object,
                       const std::string& name, hid_t type, const void* value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      H5Acreate_by_name(file, object.c_str(), name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!attribute || H5Awrite(attribute.get(), type, value) < 0)
    fail(file_name, object + "@" + name, "cannot write attribute");
}

/// No time stamps: the same contents give the same bytes.
Handle creation_properties(hid_t kind) {
  Handle properties(H5Pcreate(kind), H5Pclose);
  if (kind == H5P_DATASET_CREATE) H5Pset_obj_track_times(properties.get(), 0);
  return properties;
}

}  // namespace

Hdf5File::Hdf5File(const std::filesystem::path& path, Access access, Options options) : name_(path.string()) {
  silence();
  std::error_code error;
  if (access == Access::read) {
    if (!std::filesystem::exists(path, error)) throw DataError(fmt::format("there is no file '{}'", name_));
    if (H5Fis_hdf5(path.c_str()) <= 0) throw DataError(fmt::format("'{}' is not an HDF5 file, or is cut off", name_));
    id_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id_ < 0)
      throw DataError(fmt::format("cannot open '{}': the file is damaged or cut off{}", name_, library_reason()));
    return;
  }
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  if (options.user_block_bytes > 0) H5Pset_userblock(creation.get(), options.user_block_bytes);
  id_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), H5P_DEFAULT);
  if (id_ < 0) throw DataError(fmt::format("cannot create '{}': does its folder exist?{}", name_, library_reason()));
}

Hdf5File::~Hdf5File() {
  if (id_ >= 0) H5Fclose(id_);
}

void Hdf5File::close() {
  if (id_ < 0) return;
  if (H5Fflush(id_, H5F_SCOPE_GLOBAL) < 0 || H5Fclose(std::exchange(id_, -1)) < 0) {
    throw DataError(fmt::format("cannot finish '{}': is the disk full?{}", name_, library_reason()));
  }
}

bool Hdf5File::contains(const std::string& path) const {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {  // every link above must exist
    const std::string part = path.substr(0, end);
    if (part.size() > 1 && H5Lexists(id_, part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
  const Handle handle(H5Gopen2(id_, group.c_str(), H5P_DEFAULT), H5Gclose);
  std::vector<std::string> found;
  const auto visit = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  if (!handle || H5Literate(handle.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, visit, &found) < 0) {
    fail(name_, group, "there is no group");
  }
  return found;
}

std::vector<std::int64_t> Hdf5File::dims(const std::string& path) const {
  return dims_of(open_dataset(id_, name_, path), name_, path);
}

template <class T>
H5Array<T> Hdf5File::read(const std::string& path, std::int64_t limit) const {
  const Handle dataset = open_dataset(id_, name_, path);
  H5Array<T> array{.dims = dims_of(dataset, name_, path), .elements = {}};
  std::int64_t count = 1;
  for (const std::int64_t extent : array.dims) {
    if (extent > 0 && count > limit / extent) fail(name_, path, "more elements than expected in");
    count *= extent;
  }
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const H5T_class_t kind = type ? H5Tget_class(type.get()) : H5T_NO_CLASS;
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) fail(name_, path, "want numbers in");
  // Uncompressed data cannot be longer than the file: a damaged extent must not allocate.
  hsize_t file_bytes = 0;
  const Handle properties(H5Dget_create_plist(dataset.get()), H5Pclose);
  const bool plain = properties && H5Pget_layout(properties.get()) == H5D_CONTIGUOUS;
  const auto stored_bytes = static_cast<hsize_t>(count) * H5Tget_size(type.get());
  if (plain && H5Fget_filesize(id_, &file_bytes) >= 0 && stored_bytes > file_bytes)
    fail(name_, path, "the file is too short for");
  array.elements.resize(static_cast<std::size_t>(count));
  if (count > 0 && H5Dread(dataset.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, array.elements.data()) < 0) {
    fail(name_, path, "cannot read data set");
  }
  return array;
}

template <class T>
void Hdf5File::write(const std::string& path, std::span<const T> elements, std::span<const std::int64_t> dims) {
  const std::vector<hsize_t> extents(dims.begin(), dims.end());
  const Handle space(extents.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                     H5Sclose);
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  const Handle creation = creation_properties(H5P_DATASET_CREATE);
  const Handle dataset(
      H5Dcreate2(id_, path.c_str(), memory_type<T>(), space.get(), links.get(), creation.get(), H5P_DEFAULT), H5Dclose);
  if (!dataset) fail(name_, path, "cannot create data set");
  if (H5Sget_simple_extent_npoints(space.get()) != static_cast<hssize_t>(elements.size()))
    fail(name_, path, "wrong number of elements for");
  if (!elements.empty() &&
      H5Dwrite(dataset.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data()) < 0) {
    fail(name_, path, "is the disk full? Cannot write data set");
  }
}

template H5Array<float> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<double> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<std::int8_t> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<std::uint8_t> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<std::int32_t> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<std::int64_t> Hdf5File::read(const std::string&, std::int64_t) const;
template H5Array<std::uint64_t> Hdf5File::read(const std::string&, std::int64_t) const;
template void Hdf5File::write(const std::string&, std::span<const float>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const double>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const std::int8_t>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const std::uint8_t>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const std::int32_t>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const std::int64_t>, std::span<const std::int64_t>);
template void Hdf5File::write(const std::string&, std::span<const std::uint64_t>, std::span<const std::int64_t>);

std::string Hdf5File::read_text(const std::string& path) const {
  const H5Array<std::uint8_t> bytes = read<std::uint8_t>(path);
  return {bytes.elements.begin(), bytes.elements.end()};
}

void Hdf5File::write_text(const std::string& path, std::string_view text) {
  const std::int64_t dims[] = {static_cast<std::int64_t>(text.size())};
  write<std::uint8_t>(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, dims);
}

bool Hdf5File::has_attribute(const std::string& object, const std::string& name) const {
  return H5Aexists_by_name(id_, object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::string Hdf5File::text_attribute(const std::string& object, const std::string& name) const {
  const Handle attribute = open_attribute(id_, name_, object, name);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const std::string place = object + "@" + name;
  if (!type || H5Tget_class(type.get()) != H5T_STRING) fail(name_, place, "want a string in");
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), &text) < 0 || text == nullptr) fail(name_, place, "cannot read string");
    std::string copy = text;
    H5free_memory(text);
    return copy;
  }
  std::string text(H5Tget_size(type.get()), '\0');
  if (static_cast<hsize_t>(text.size()) != H5Aget_storage_size(attribute.get()) ||
      H5Aread(attribute.get(), type.get(), text.data()) < 0) {
    fail(name_, place, "cannot read string");
  }
  return text.substr(0, text.find('\0'));
}

std::int64_t Hdf5File::integer_attribute(const std::string& object, const std::string& name) const {
  return scalar_attribute<std::int64_t>(id_, name_, object, name, H5T_INTEGER);
}

double Hdf5File::real_attribute(const std::string& object, const std::string& name) const {
  return scalar_attribute<double>(id_, name_, object, name, H5T_FLOAT);
}

void Hdf5File::set_attribute(const std::string& object, const std::string& name, std::string_view text) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  const std::string terminated(text);
  H5Tset_size(type.get(), terminated.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  replace_attribute(id_, name_, object, name, type.get(), terminated.c_str());
}

void Hdf5File::set_attribute(const std::string& object, const std::string& name, std::int64_t value) {
  replace_attribute(id_, name_, object, name, H5T_NATIVE_INT64, &value);
}

void Hdf5File::set_attribute(const std::string& object, const std::string& name, double value) {
  replace_attribute(id_, name_, object, name, H5T_NATIVE_DOUBLE, &value);
}

}  // namespace binade
