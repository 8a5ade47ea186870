// HDF5 files that reach outside of themselves, claim more than they hold, or are no files at all.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/io/hdf5.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

class Hdf5GuardTest : public testing::Test {
 protected:
  Hdf5GuardTest()
      : folder_(fs::temp_directory_path() / ("binade_hdf5_" + std::to_string(::getpid()) +
                                             testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::create_directories(folder_);
  }
  ~Hdf5GuardTest() override { fs::remove_all(folder_); }
  std::string path(const std::string& name = "file.h5") const { return (folder_ / name).string(); }
  hid_t create(const std::string& name = "file.h5") const {
    return H5Fcreate(path(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  /// A data set "x" of 1000 floats 0, 1, 2 ..., stored as `creation` says.
  static void add_floats(hid_t file, hid_t creation, bool fill = true) {
    const hsize_t count = 1000;
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    std::array<float, 1000> numbers;
    std::iota(numbers.begin(), numbers.end(), 0.0F);
    if (fill) H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data());
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(creation);
  }
  /// What reading "x" says; "" if it can be read.
  std::string refusal(const std::string& dataset = "/x") const {
    try {
      const Hdf5File file{path()};
      EXPECT_EQ(file.read<float>(dataset).elements.size(), 1000U);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }
  void expect_refused(const std::string& words, const std::string& dataset = "/x") const {
    EXPECT_NE(refusal(dataset).find(words), std::string::npos) << "got: " << refusal(dataset);
  }

  fs::path folder_;
};

TEST_F(Hdf5GuardTest, PlainAndDeflatedNumbersAreRead) {
  hid_t file = create();
  add_floats(file, H5Pcreate(H5P_DATASET_CREATE));
  H5Fclose(file);
  EXPECT_EQ(refusal(), "");
  file = create();
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 300;  // the last is cut by the end
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_deflate(creation, 6);
  add_floats(file, creation);
  H5Fclose(file);
  EXPECT_EQ(refusal(), "");
}

TEST_F(Hdf5GuardTest, ExternalStorageIsRefused) {
  std::ofstream(path("secret.bin"), std::ios::binary) << std::string(4000, 'k');
  const hid_t file = create(), creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(creation, path("secret.bin").c_str(), 0, 4000);
  add_floats(file, creation, false);
  H5Fclose(file);
  expect_refused("the numbers lie in another file");
}

TEST_F(Hdf5GuardTest, LinksThatAreNotHardAreRefused) {
  const hid_t other = create("other.h5");
  add_floats(other, H5Pcreate(H5P_DATASET_CREATE));
  H5Fclose(other);
  const hid_t file = create();
  H5Lcreate_external(path("other.h5").c_str(), "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external(path("other.h5").c_str(), "/", file, "group", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_soft("/x", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  expect_refused("a link that may lead to another file");
  expect_refused("a link that may lead to another file", "/soft");
  expect_refused("a link that may lead to another file", "/group/x");
  const Hdf5File opened{path()};
  EXPECT_THROW(opened.names("/group"), DataError);
  EXPECT_THROW(opened.contains("/group/x"), DataError);
  EXPECT_THROW(opened.has_attribute("/group", "a"), DataError);
}

TEST_F(Hdf5GuardTest, VirtualDataSetsAreRefused) {
  const hid_t other = create("other.h5");
  add_floats(other, H5Pcreate(H5P_DATASET_CREATE));
  H5Fclose(other);
  const hid_t file = create(), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t count = 1000;
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  H5Pset_virtual(creation, space, path("other.h5").c_str(), "/x", space);
  H5Sclose(space);
  add_floats(file, creation, false);
  H5Fclose(file);
  expect_refused("a virtual data set");
}

TEST_F(Hdf5GuardTest, OtherFiltersAreRefused) {
  const hid_t file = create(), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 100;
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_fletcher32(creation);
  add_floats(file, creation);
  H5Fclose(file);
  expect_refused("a filter that is not deflate");
}

TEST_F(Hdf5GuardTest, NumbersThatWereNeverWrittenTakeNoMemory) {
  hid_t file = create();
  add_floats(file, H5Pcreate(H5P_DATASET_CREATE), false);  // storage that is not there
  H5Fclose(file);
  expect_refused("the file is too short");
  for (const bool deflated : {false, true}) {  // four billion numbers in some hundred bytes
    file = create();
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 1 << 20, count = hsize_t{1} << 32;
    H5Pset_chunk(creation, 1, &chunk);
    if (deflated) H5Pset_deflate(creation, 9);
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(creation);
    H5Fclose(file);
    const Hdf5File opened{path()};
    EXPECT_THROW(opened.read<float>("/x"), DataError);
    EXPECT_THROW(opened.read<float>("/x", std::int64_t{1} << 40), DataError);
  }
}

TEST_F(Hdf5GuardTest, AChunkThatInflatesToMoreThanItSaysIsRefused) {
  const hid_t file = create(), creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 1000;
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_deflate(creation, 9);
  add_floats(file, creation);
  const hid_t set = H5Dopen2(file, "x", H5P_DEFAULT), big_creation = H5Pcreate(H5P_DATASET_CREATE);
  // The deflated bytes of a data set of zeros, sixteen thousand times as long, put in the place of the chunk.
  const hsize_t big = 16'000'000, origin = 0;
  H5Pset_chunk(big_creation, 1, &big);
  H5Pset_deflate(big_creation, 9);
  const hid_t space = H5Screate_simple(1, &big, nullptr);
  const hid_t zeros = H5Dcreate2(file, "zeros", H5T_STD_I8LE, space, H5P_DEFAULT, big_creation, H5P_DEFAULT);
  const std::vector<std::int8_t> nothing(big);
  H5Dwrite(zeros, H5T_NATIVE_INT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, nothing.data());
  hsize_t bytes = 0;
  std::uint32_t mask = 0;
  H5Dget_chunk_storage_size(zeros, &origin, &bytes);
  std::vector<unsigned char> deflated(bytes);
  H5Dread_chunk(zeros, H5P_DEFAULT, &origin, &mask, deflated.data());
  H5Dwrite_chunk(set, H5P_DEFAULT, 0, &origin, deflated.size(), deflated.data());
  for (const hid_t one : {set, zeros}) H5Dclose(one);
  H5Sclose(space);
  H5Pclose(big_creation);
  H5Fclose(file);
  expect_refused("a compressed chunk is damaged");
}

TEST_F(Hdf5GuardTest, DamagedMetadataNeverEndTheProgram) {
  const hid_t file = create();
  add_floats(file, H5Pcreate(H5P_DATASET_CREATE));
  H5Fclose(file);
  std::ifstream good(path(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(good)), {});
  const Random random(17, 3);
  int refused = 0;
  for (std::uint64_t i = 0; i < 150; ++i) {
    std::string damaged = bytes;
    for (std::uint64_t k = 0; k < 3; ++k) {
      const std::uint64_t word = random.word(3 * i + k);
      damaged[word % std::min<std::size_t>(bytes.size(), 2500)] = static_cast<char>(word >> 40);
    }
    std::ofstream(path(), std::ios::binary) << damaged;
    refused += refusal().empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 20);
}

TEST_F(Hdf5GuardTest, AFileInMemoryIsTheFileOnDisk) {
  Hdf5File made = Hdf5File::in_memory(512), second = Hdf5File::in_memory(0);
  made.write_text("/text", "hello");
  second.write_text("/other", "you");
  const std::vector<std::byte> bytes = made.bytes();
  ASSERT_GT(bytes.size(), 512U);
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(bytes[512], std::byte{0x89});
  std::ofstream(path(), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(Hdf5File(fs::path(path())).read_text("/text"), "hello");
}

TEST_F(Hdf5GuardTest, APipeAFolderAndALoopOfLinksAreNoFiles) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  fs::create_symlink("loop", path("loop"));
  const auto message = [&](const std::string& name) -> std::string {
    try {
      read_whole_file(path(name), "a model");
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("pipe").find("is a pipe or a device, want a model"), std::string::npos) << message("pipe");
  EXPECT_NE(message("loop").find("cannot open"), std::string::npos) << message("loop");
  EXPECT_NE(message(".").find("is a folder"), std::string::npos) << message(".");
  EXPECT_THROW(read_whole_file("/dev/zero", "a model"), DataError);
  std::ofstream(path("ten")) << "0123456789";
  EXPECT_EQ(read_whole_file(path("ten"), "ten bytes", 10).size(), 10U);
  EXPECT_THROW(read_whole_file(path("ten"), "nine bytes", 9), DataError);
  EXPECT_EQ(read_head(path("ten"), "ten bytes", 4).size(), 4U);
  EXPECT_EQ(read_head(path("ten"), "ten bytes", 40).size(), 10U);
}

}  // namespace
}  // namespace binade
