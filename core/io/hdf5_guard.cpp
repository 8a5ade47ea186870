// Checks of links, types and storage, and the first reading in a child process.
#include "core/io/hdf5_guard.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"

namespace binade::hdf5 {
namespace {

/// Numbers of one data set that are stored deflated may take so many bytes in memory.
constexpr hsize_t kMostInflatedBytes = hsize_t{1} << 30;

/// The innermost description on HDF5's error stack.
std::string library_reason() {
  std::string reason;
  const auto visit = [](unsigned depth, const H5E_error2_t* error, void* out) -> herr_t {
    if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &reason);
  return reason.empty() ? "" : fmt::format(" (HDF5: {})", printable(reason, 200));
}

/// Whether deflated bytes become exactly `wanted` bytes: counted through a small window, nothing is kept.
bool inflates_to(std::vector<unsigned char>& deflated, hsize_t wanted) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return false;
  std::array<unsigned char, 1 << 15> window;
  stream.next_in = deflated.data();
  stream.avail_in = static_cast<uInt>(deflated.size());
  int state = Z_OK;
  hsize_t total = 0;
  while (state == Z_OK && total <= wanted) {
    stream.next_out = window.data();
    stream.avail_out = static_cast<uInt>(window.size());
    state = inflate(&stream, Z_NO_FLUSH);
    total += window.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  return state == Z_STREAM_END && total == wanted;
}

/// Every chunk is there and is as long as it says; the library would inflate without end.
void check_deflated(const Handle& dataset, const Handle& properties, const std::vector<std::int64_t>& extents,
                    hsize_t number_bytes, hsize_t file_bytes, const std::string& name, const std::string& path) {
  std::vector<hsize_t> chunk(extents.size());
  const int rank = static_cast<int>(extents.size());
  if (H5Pget_chunk(properties.get(), rank, chunk.data()) != rank) fail(name, path, "cannot read the chunks of");
  hsize_t chunk_bytes = number_bytes, wanted = 1, found = 0;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    if (chunk[i] == 0 || chunk_bytes > kMostInflatedBytes / chunk[i]) fail(name, path, "absurd chunks in");
    chunk_bytes *= chunk[i];
    wanted *= (static_cast<hsize_t>(extents[i]) + chunk[i] - 1) / chunk[i];
    if (wanted > kMostInflatedBytes) fail(name, path, "absurdly many chunks in");
  }
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  if (wanted > kMostInflatedBytes / chunk_bytes || H5Dget_num_chunks(dataset.get(), space.get(), &found) < 0 ||
      found != wanted) {
    fail(name, path, "chunks are missing in, or are too many for, the compressed data set");
  }
  std::vector<hsize_t> at(extents.size());
  for (hsize_t i = 0; i < wanted; ++i) {
    unsigned skipped = 0;
    haddr_t address = 0;
    hsize_t bytes = 0;
    if (H5Dget_chunk_info(dataset.get(), space.get(), i, at.data(), &skipped, &address, &bytes) < 0 || skipped != 0 ||
        bytes > file_bytes) {
      fail(name, path, "a chunk is damaged in");
    }
    std::vector<unsigned char> deflated(static_cast<std::size_t>(bytes));
    std::uint32_t mask = 0;
    if (H5Dread_chunk(dataset.get(), H5P_DEFAULT, at.data(), &mask, deflated.data()) < 0 ||
        !inflates_to(deflated, chunk_bytes)) {
      fail(name, path, "a compressed chunk is damaged in");
    }
  }
}

/// Reads one object as those do who open it; what is wrong is for them to say.
herr_t read_object(hid_t file, const char* path, const H5O_info_t* info, void*) {
  const std::string place = std::string("/") + (std::strcmp(path, ".") == 0 ? "" : path);
  for (hsize_t i = 0; i < info->num_attrs; ++i) {
    const Handle attribute(H5Aopen_by_idx(file, path, H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT),
                           H5Aclose);
    const Handle type(attribute ? H5Aget_type(attribute.get()) : -1, H5Tclose);
    const hsize_t bytes = type ? H5Aget_storage_size(attribute.get()) : 0;
    if (!type || bytes > (1U << 20) || (!is_plain_number(type.get()) && H5Tget_class(type.get()) != H5T_STRING))
      continue;
    if (H5Tis_variable_str(type.get()) != 0) continue;
    std::vector<unsigned char> value(static_cast<std::size_t>(bytes) + 16);
    H5Aread(attribute.get(), type.get(), value.data());
  }
  if (info->type != H5O_TYPE_DATASET) return 0;
  try {
    const Handle dataset(H5Dopen2(file, path, H5P_DEFAULT), H5Dclose);
    if (!dataset) return 0;
    const std::int64_t count = check_dataset(file, dataset, std::int64_t{1} << 33, "", place);
    const Handle type(H5Dget_type(dataset.get()), H5Tclose);
    std::vector<unsigned char> numbers(static_cast<std::size_t>(count) * H5Tget_size(type.get()));
    H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data());
  } catch (const DataError&) {
    return 0;
  }
  return 0;
}

/// The life of the child: a limit on what it may take, all objects, no exit handlers.
[[noreturn]] void read_everything(const std::filesystem::path& path, std::uintmax_t file_bytes) {
  const int silent = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (silent >= 0) ::dup2(silent, STDERR_FILENO);
  std::uintmax_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const auto page_bytes = static_cast<std::uintmax_t>(::sysconf(_SC_PAGESIZE));
  const rlim_t memory = static_cast<rlim_t>(pages * page_bytes + 4 * file_bytes + (std::uintmax_t{1} << 30));
  const auto seconds = static_cast<rlim_t>(4 + file_bytes / (std::uintmax_t{20} << 20));
  const rlimit no_core{0, 0}, most_memory{memory, memory}, most_time{seconds, seconds};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (pages > 0) ::setrlimit(RLIMIT_AS, &most_memory);
  ::setrlimit(RLIMIT_CPU, &most_time);
  try {
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file >= 0) {
      H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, read_object, nullptr, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS);
      H5Fclose(file);
    }
  } catch (const std::exception&) {
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace

void fail(const std::string& file, const std::string& path, std::string_view what) {
  throw DataError(fmt::format("{}: {} '{}'{}", file, what, printable(path, 200), library_reason()));
}

void check_links(hid_t file, const std::string& name, const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (part.size() > 1) {
      H5L_info_t info = {};
      if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) return;
      if (H5Lget_info(file, part.c_str(), &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD) {
        fail(name, part, "a link that may lead to another file or place; write the data set itself instead of");
      }
    }
    if (end == std::string::npos) return;
  }
}

std::vector<std::int64_t> extents_of(const Handle& dataset, const std::string& name, const std::string& path) {
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank < 0 || H5Sget_simple_extent_type(space.get()) == H5S_NULL ||
      (rank > 0 && H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr) < 0)) {
    fail(name, path, "cannot read the extents of");
  }
  std::vector<std::int64_t> dims;
  for (const hsize_t extent : extents) {
    if (extent > (hsize_t{1} << 40)) fail(name, path, "absurd extents of");
    dims.push_back(static_cast<std::int64_t>(extent));
  }
  return dims;
}

bool is_plain_number(hid_t type) {
  const std::array known{H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_IEEE_F64BE, H5T_STD_I8LE,
                         H5T_STD_U8LE,   H5T_STD_I16LE,  H5T_STD_U16LE,  H5T_STD_I32LE,  H5T_STD_U32LE,
                         H5T_STD_I64LE,  H5T_STD_U64LE,  H5T_STD_I8BE,   H5T_STD_U8BE,   H5T_STD_I16BE,
                         H5T_STD_U16BE,  H5T_STD_I32BE,  H5T_STD_U32BE,  H5T_STD_I64BE,  H5T_STD_U64BE};
  return std::any_of(known.begin(), known.end(), [&](hid_t one) { return H5Tequal(type, one) > 0; });
}

std::int64_t check_dataset(hid_t file, const Handle& dataset, std::int64_t limit, const std::string& name,
                           const std::string& path) {
  const std::vector<std::int64_t> extents = extents_of(dataset, name, path);
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) {
    if (extent > 0 && count > limit / extent) fail(name, path, "more elements than expected in");
    count *= extent;
  }
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (!type || !is_plain_number(type.get())) fail(name, path, "want plain numbers of 8 to 64 bits in");
  const Handle properties(H5Dget_create_plist(dataset.get()), H5Pclose);
  if (!properties) fail(name, path, "cannot read how numbers are stored in");
  if (H5Pget_external_count(properties.get()) != 0) fail(name, path, "the numbers lie in another file than");
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) {
    fail(name, path, "a virtual data set, which may hold numbers of other files:");
  }
  const int filters = H5Pget_nfilters(properties.get());
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(properties.get(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_DEFLATE || filters > 1) fail(name, path, "a filter that is not deflate is on");
  }
  if (filters < 0) fail(name, path, "cannot read the filters of");
  // Numbers cannot be longer than the file that holds them: a claim must not take memory.
  hsize_t file_bytes = 0;
  const auto number_bytes = static_cast<hsize_t>(H5Tget_size(type.get()));
  const hsize_t stored = H5Dget_storage_size(dataset.get());
  if (H5Fget_filesize(file, &file_bytes) < 0 || stored > file_bytes) fail(name, path, "the file is too short for");
  if (count == 0) return 0;
  if (filters > 0) {
    check_deflated(dataset, properties, extents, number_bytes, file_bytes, name, path);
  } else if (static_cast<hsize_t>(count) > stored / number_bytes) {
    fail(name, path, "the file is too short for");
  }
  return count;
}

void read_in_a_child_first(const std::filesystem::path& path, const std::string& name) {
  std::error_code error;
  const std::uintmax_t file_bytes = std::filesystem::file_size(path, error);
  if (error) throw DataError(fmt::format("cannot read {}: {}", name, error.message()));
  const pid_t child = ::fork();
  if (child == 0) read_everything(path, file_bytes);
  if (child < 0)
    throw DataError(fmt::format("cannot check {}: no process can be started: {}", name, std::strerror(errno)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw DataError(fmt::format("{} is damaged in a way that the HDF5 library cannot bear", name));
  }
}

}  // namespace binade::hdf5
