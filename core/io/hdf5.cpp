// The HDF5 C interface, wrapped: handles close themselves, errors are collected instead of printed, files that are
// written stay in memory until they are whole.
#include "core/io/hdf5.hpp"

#include <hdf5.h>

#include <algorithm>
#include <atomic>
#include <type_traits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "core/io/hdf5_guard.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

using hdf5::fail;
using hdf5::Handle;

constexpr std::size_t kMostTextBytes = std::size_t{1} << 20;  ///< of an attribute

static_assert(std::is_same_v<hid_t, std::int64_t>, "HDF5 1.10 and later have 64-bit handles");

/// The library would print every error, also those that we expect and handle.
void silence() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
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
  hdf5::check_links(file, name, path);
  const hid_t id = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (id < 0) fail(name, path, "there is no data set");
  return {id, H5Dclose};
}

Handle open_attribute(std::int64_t file, const std::string& file_name, const std::string& object,
                      const std::string& name) {
  hdf5::check_links(file, file_name, object);
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
      !hdf5::is_plain_number(type.get()) || H5Aread(attribute.get(), memory_type<T>(), &value) < 0) {
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

Hdf5File::Hdf5File(const std::filesystem::path& path) : name_(shown(path)) {
  silence();
  const std::vector<std::byte> head = read_head(path, "an HDF5 file", 1);  // a file that can be read
  if (head.empty() || H5Fis_hdf5(path.c_str()) <= 0)
    throw DataError(fmt::format("{} is not an HDF5 file, or is cut off", name_));
  hdf5::read_in_a_child_first(path, name_);
  id_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (id_ < 0) fail(name_, "/", "the file is damaged or cut off; cannot open");
}

Hdf5File Hdf5File::in_memory(std::size_t user_block_bytes) {
  silence();
  // The library tells open files apart by their names.
  static std::atomic<int> count{0};
  Hdf5File file;
  file.name_ = fmt::format("(HDF5 in memory {})", count++);
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose), access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (user_block_bytes > 0) H5Pset_userblock(creation.get(), user_block_bytes);
  constexpr std::size_t kStep = std::size_t{1} << 22;
  H5Pset_fapl_core(access.get(), kStep, false);
  file.id_ = H5Fcreate(file.name_.c_str(), H5F_ACC_TRUNC, creation.get(), access.get());
  if (file.id_ < 0) fail(file.name_, "/", "cannot create");
  return file;
}

Hdf5File::~Hdf5File() {
  if (id_ >= 0) H5Fclose(id_);
}

std::vector<std::byte> Hdf5File::bytes() const {
  const bool flushed = H5Fflush(id_, H5F_SCOPE_GLOBAL) >= 0;
  const ssize_t size = flushed ? H5Fget_file_image(id_, nullptr, 0) : -1;
  hsize_t block = 0;  // the image begins after it
  const Handle creation(H5Fget_create_plist(id_), H5Pclose);
  if (size <= 0 || !creation || H5Pget_userblock(creation.get(), &block) < 0) fail(name_, "/", "cannot finish");
  const auto length = static_cast<std::size_t>(size);
  std::vector<std::byte> image(static_cast<std::size_t>(block) + length);
  if (H5Fget_file_image(id_, image.data() + block, length) != size) fail(name_, "/", "cannot finish");
  return image;
}

bool Hdf5File::contains(const std::string& path) const {
  hdf5::check_links(id_, name_, path);
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {  // every link above must exist
    const std::string part = path.substr(0, end);
    if (part.size() > 1 && H5Lexists(id_, part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
  hdf5::check_links(id_, name_, group);
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
  return hdf5::extents_of(open_dataset(id_, name_, path), name_, path);
}

template <class T>
H5Array<T> Hdf5File::read(const std::string& path, std::int64_t limit) const {
  const Handle dataset = open_dataset(id_, name_, path);
  H5Array<T> array{.dims = hdf5::extents_of(dataset, name_, path), .elements = {}};
  const std::int64_t count = hdf5::check_dataset(id_, dataset, limit, name_, path);
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
    fail(name_, path, "cannot write data set");
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
  hdf5::check_links(id_, name_, object);
  return H5Aexists_by_name(id_, object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::string Hdf5File::text_attribute(const std::string& object, const std::string& name) const {
  const Handle attribute = open_attribute(id_, name_, object, name);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const std::string place = object + "@" + name;
  if (!type || H5Tget_class(type.get()) != H5T_STRING) fail(name_, place, "want a string in");
  if (H5Tis_variable_str(type.get()) != 0 || H5Tget_size(type.get()) > kMostTextBytes) {
    fail(name_, place, "want a string of fixed length in");
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
